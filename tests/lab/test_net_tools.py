"""`kubectl exec` tools: busybox's words, streams, exit codes and waits."""

import asyncio
import dataclasses
import json

import pytest
from net_support import NOBODY, Bench

from acns_chaos.lab.net.tools.commands import NotModelled, parse_shell
from acns_chaos.lab.world import Outside, load_world


async def test_wget_follows_the_redirects_of_the_workshop_page():
    """Graph sends on to developer.microsoft.com, which sends on once more."""
    ran = await Bench().sh(
        "order-service", "wget --spider --timeout=1 --tries=1 https://graph.microsoft.com"
    )
    assert ran.code == 0
    assert ran.out == ""
    assert ran.err == (
        "Connecting to graph.microsoft.com (20.190.152.88:443)\n"
        "Connecting to developer.microsoft.com (23.45.149.11:443)\n"
        "Connecting to developer.microsoft.com (23.45.149.11:443)\n"
        "remote file exists\n"
    )


async def test_wget_says_bad_address_after_five_seconds_whatever_its_timeout():
    """A refused name costs musl's 5 s, not wget's 1 s."""
    ran = await Bench().sh("order-service", "wget --spider --timeout=1 --tries=1 www.bing.com")
    assert (ran.code, ran.out, ran.err) == (1, "", "wget: bad address 'www.bing.com'\n")
    assert ran.seconds == 5.0


async def test_wget_repeats_the_port_in_a_bad_address():
    """The host is printed as it was typed."""
    ran = await Bench("pets-workshop").sh("order-service", "wget --spider product-service:3002")
    assert ran.err == "wget: bad address 'product-service:3002'\n"


@pytest.mark.parametrize("flags", ["-T 3", "-T3", "--timeout=3", "--timeout 3"])
async def test_wget_times_out_on_a_denied_address(flags):
    """It says whom it tries, and gives up exactly at its own time-out."""
    ran = await Bench().sh("order-service", f"wget --spider {flags} http://10.0.96.101:3002")
    assert ran.code == 1
    assert ran.err == (
        "Connecting to 10.0.96.101:3002 (10.0.96.101:3002)\nwget: download timed out\n"
    )
    assert ran.seconds == 3.0


async def test_quiet_wget_prints_the_page_or_nothing():
    """-q -O - gives the body on standard output; -q --spider is silent."""
    bench = Bench()
    ran = await bench.exec("rabbitmq", "wget", "-q", "-O", "-", "http://10.244.0.21:8080/health")
    assert ran.code == 1
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.exec("rabbitmq", "wget", "-qO-", "http://store-front/health")
    assert (ran.code, ran.out, ran.err) == (0, '{"status": "ok", "version": "2.2.0"}', "")
    ran = await bench.exec("rabbitmq", "wget", "-q", "--spider", "http://store-front/health")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = await bench.exec("rabbitmq", "wget", "-q", "--spider", "http://store-front/nothing")
    assert ran.err == "wget: server returned error: HTTP/1.1 404 Not Found\n"


async def test_wget_prints_a_page_and_its_progress():
    """-O - alone writes around the page on standard error, as busybox 1.35 does."""
    bench = Bench()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.sh("rabbitmq", "wget -O - http://store-front/health")
    assert (ran.code, ran.out) == (0, '{"status": "ok", "version": "2.2.0"}')
    assert ran.err == (
        "Connecting to store-front (10.0.112.41:80)\nwriting to stdout\n"
        "-                    100% |********************************|    36  0:00:00 ETA\n"
        "written to stdout\n"
    )


async def test_wget_reaches_the_backends_through_the_storefront():
    """The storefront's own hops count: a silent backend makes wget's time-out or a 504."""
    bench = Bench()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    url = "http://store-front/api/products"
    ran = await bench.sh("rabbitmq", f"wget -q -O- {url}")
    assert (ran.code, len(json.loads(ran.out))) == (0, 5)
    await bench.apply("allow-product-service-traffic", ingress=NOBODY)
    ran = await bench.sh("rabbitmq", f"wget -q -T 5 --spider {url}")
    assert (ran.code, ran.err, ran.seconds) == (1, "wget: download timed out\n", 5.0)
    ran = await bench.sh("rabbitmq", f"wget -q --spider {url}")
    assert ran.err == "wget: server returned error: HTTP/1.1 504 Gateway Timeout\n"
    assert ran.seconds == 60.0


async def test_wget_is_refused_by_a_service_without_pods():
    """At once, in busybox's words."""
    bench = Bench()
    bench.store.delete("Pod", "pets", bench.pod("store-front"))
    ran = await bench.sh("rabbitmq", "wget --spider http://store-front")
    assert (ran.code, ran.seconds) == (1, 0.0)
    assert ran.err == (
        "Connecting to store-front (10.0.112.41:80)\n"
        "wget: can't connect to remote host (10.0.112.41): Connection refused\n"
    )


async def test_wget_gives_up_on_a_ring_of_redirects():
    """After 16 requests; a location without a host is asked for unannounced."""
    world = load_world("pets")
    ring = Outside("ring.example.org", ("198.51.100.99",), frozenset({80}), {"/": "/a", "/a": "/"})
    bench = Bench(dataclasses.replace(world, outside={ring.name: ring}))
    ran = await bench.sh("rabbitmq", "wget --spider ring.example.org")
    assert (ran.code, ran.err) == (
        1,
        "Connecting to ring.example.org (198.51.100.99:80)\nwget: too many redirections\n",
    )
    opened = bench.net.metrics.value("hubble_tcp_flags_total", flag="SYN", source="pets/rabbitmq-0")
    assert opened == 16


@pytest.mark.parametrize("flags", ["-zv -w2", "-z -v -w 2", "-w2 -zv", "-zvw2", "-vz -w 2"])
async def test_nc_takes_its_flags_in_any_order(flags):
    """All spellings mean the same: silence until the time-out, exit code 1."""
    ran = await Bench().sh("order-service", f"nc {flags} 10.0.96.101 3002")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "nc: 10.0.96.101 (10.0.96.101:3002): Operation timed out\n"
    assert ran.seconds == 2.0


async def test_nc_takes_flags_after_its_operands():
    """Busybox sorts options out of the way."""
    ran = await Bench().exec("order-service", "nc", "rabbitmq", "5672", "-zv", "-w2")
    assert (ran.code, ran.err) == (0, "rabbitmq (10.0.154.203:5672) open\n")


async def test_nc_is_refused_where_nothing_listens():
    """An allowed port without a listener answers at once."""
    bench = Bench()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-rabbitmq-traffic")
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-order-service-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.exec("order-service", "nc", "-zv", "-w2", "10.244.0.58", "9")
    assert (ran.code, ran.seconds) == (1, 0.0)
    assert ran.err == "nc: 10.244.0.58 (10.244.0.58:9): Connection refused\n"


async def test_the_workshop_checks_fail_on_the_name_before_the_connection():
    """Product-service is not among the names that order-service may ask for."""
    ran = await Bench().sh("order-service", "nc -zv -w2 product-service 3002")
    assert (ran.code, ran.err) == (1, "nc: bad address 'product-service'\n")
    assert ran.seconds == 5.0


async def test_nslookup_shows_server_and_address():
    """It walks the search list by itself for a name without a dot."""
    ran = await Bench().exec("order-service", "nslookup", "rabbitmq")
    assert ran.code == 0
    assert ran.out == (
        "Server:\t\t10.0.0.10\nAddress:\t10.0.0.10:53\n\n\n"
        "Name:\trabbitmq.pets.svc.cluster.local\nAddress: 10.0.154.203\n"
    )


async def test_nslookup_tells_where_an_answer_comes_from():
    """The cluster's DNS is authoritative for its own names only; both questions are answered."""
    bench = Bench()
    header = "Server:\t\t10.0.0.10\nAddress:\t10.0.0.10:53\n\n"
    ran = await bench.exec("rabbitmq", "nslookup", "www.bing.com")
    foreign = "Non-authoritative answer:\n"
    found = "Name:\twww.bing.com\nAddress: 13.107.21.237\n"
    assert (ran.code, ran.out) == (0, f"{header}{foreign}{found}\n{foreign}\n")
    name = "store-front.pets.svc.cluster.local"
    ran = await bench.exec("rabbitmq", "nslookup", name)
    assert ran.out == f"{header}Name:\t{name}\nAddress: 10.0.112.41\n\n\n"
    ran = await bench.exec("rabbitmq", "nslookup", "pets.svc.cluster.local")
    assert (ran.code, ran.out) == (0, f"{header}\n\n")


async def test_nslookup_asks_the_server_that_is_named():
    """The cluster's own by address, one outside that stays silent, one whose name is unknown."""
    bench = Bench()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-order-service-traffic")
    await bench.clock.advance(0.05)
    ran = await bench.exec("order-service", "nslookup", "rabbitmq", "10.0.0.10")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "Server:\t\t10.0.0.10")
    ran = await bench.exec("order-service", "nslookup", "rabbitmq", "8.8.8.8")
    assert (ran.code, ran.seconds) == (1, 5.0)
    assert ran.out == ";; connection timed out; no servers could be reached\n\n"
    ran = await bench.exec("order-service", "nslookup", "rabbitmq", "dns.example.org")
    assert (ran.code, ran.err) == (1, "nslookup: bad address 'dns.example.org'\n")


async def test_nslookup_sees_a_refusal_at_once():
    """Unlike musl it takes REFUSED for an answer."""
    ran = await Bench().exec("order-service", "nslookup", "www.bing.com")
    assert (ran.code, ran.seconds) == (1, 0.0)
    assert ran.out.endswith("** server can't find www.bing.com: REFUSED\n\n" * 2)


async def test_nslookup_without_dns_times_out():
    """No answer in 5 s."""
    ran = await Bench("pets-workshop").exec("order-service", "nslookup", "www.bing.com")
    assert (ran.code, ran.seconds) == (1, 5.0)
    assert ran.out == ";; connection timed out; no servers could be reached\n\n"


async def test_resolv_conf_tells_the_search_list():
    """Namespace first, the node's domain last, ndots 5."""
    ran = await Bench().exec("store-front", "cat", "/etc/resolv.conf")
    assert ran.out == (
        "search pets.svc.cluster.local svc.cluster.local cluster.local "
        "k2f4xq0zd1ue3m5c6wapr7tyhb.bx.internal.cloudapp.net\n"
        "nameserver 10.0.0.10\noptions ndots:5\n"
    )


async def test_the_files_of_a_kubelet_can_be_read():
    """Hosts, host name and namespace; a file that is not there is an error of busybox."""
    bench = Bench()
    name = bench.pod("store-front")
    ip = bench.net.directory.pod("pets", name).ip
    ran = await bench.sh("store-front", "cat /etc/hosts /etc/hostname")
    assert ran.out.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert ran.out.endswith(f"{ip}\t{name}\n{name}\n")
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    ran = await bench.sh("store-front", f"cat {account}/namespace /nope")
    assert (ran.code, ran.out) == (1, "pets")
    assert ran.err == "cat: can't open '/nope': No such file or directory\n"
    ran = await bench.sh("product-service", "cat /nope")
    assert ran.err == "cat: /nope: No such file or directory\n"


async def test_a_pod_knows_its_own_name():
    """Host name, address, and single variables."""
    bench = Bench()
    name = bench.pod("store-front")
    ran = await bench.sh("store-front", "hostname; hostname -i; printenv HOSTNAME NOPE")
    ip = bench.net.directory.pod("pets", name).ip
    assert (ran.code, ran.out) == (1, f"{name}\n{ip}\n{name}\n")


async def test_id_tells_what_the_pod_spec_says():
    """Without a user in the spec, the image decides, and the lab does not know it."""
    bench = Bench()
    pod = bench.store.get("Pod", "pets", bench.pod("store-front"))
    pod["spec"]["securityContext"] = {"runAsUser": 101, "runAsGroup": 101}
    bench.store.put(pod)
    ran = await bench.exec("store-front", "id")
    assert (ran.code, ran.out) == (0, "uid=101 gid=101 groups=101\n")


async def test_localhost_needs_neither_dns_nor_policy():
    """What a pod sends to itself never leaves it."""
    bench = Bench("pets-workshop")
    ran = await bench.sh("order-service", "nc -zv -w2 localhost 3000; nc -zv 127.0.0.1 9")
    assert ran.err == (
        "localhost (127.0.0.1:3000) open\nnc: 127.0.0.1 (127.0.0.1:9): Connection refused\n"
    )
    assert bench.drops() == 0
    ran = await bench.sh("order-service", "wget -q -O- http://localhost:3000/health")
    assert ran.out == '{"status": "ok", "version": "2.2.0"}'


async def test_env_shows_the_containers_variables():
    """What the pod's spec sets, and where the API is."""
    ran = await Bench().exec("order-service", "env")
    lines = ran.out.splitlines()
    assert "ORDER_QUEUE_HOSTNAME=rabbitmq" in lines
    assert "KUBERNETES_SERVICE_HOST=10.0.0.1" in lines
    assert "KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443" in lines
    assert "STORE_FRONT_SERVICE_PORT=80" in lines
    assert not any(line.startswith("KUBE_DNS_") for line in lines)


async def test_a_tool_missing_in_the_image_is_not_found():
    """Product-service has a shell but no wget: 127 from the shell, an OCI error without it."""
    bench = Bench()
    ran = await bench.sh("product-service", "wget http://rabbitmq")
    assert (ran.code, ran.err) == (127, "sh: wget: not found\n")
    ran = await bench.exec("product-service", "wget", "http://rabbitmq")
    assert ran.code == 127
    assert ran.err == (
        "OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "wget": executable file not found in $PATH: unknown\n'
    )


async def test_an_image_without_any_tool_has_no_shell():
    """CoreDNS is a bare binary."""
    ran = await Bench().exec("coredns", "sh", "-c", "true", namespace="kube-system")
    assert ran.code == 127
    assert 'exec: "sh": executable file not found' in ran.err


@pytest.mark.parametrize(
    "command",
    [
        "ls /", "nc rabbitmq 5672", "wget http://rabbitmq", "wget --spider --post-data=x http://a",
        "wget -T 1.5 --spider http://a", "echo $HOME", "true | true", "true > /tmp/x", "true &",
        "if true; then true; fi", "A=1 true", "cat /etc/passwd", "echo 'open", "true &&", "&& true",
        "nslookup a b c", "nslookup 10.0.0.1", "nc -zv rabbitmq 1-9", "id", "ps", "ip a",
        "cat /var/run/secrets/kubernetes.io/serviceaccount/token", "wget -O- https://a:x",
        "sleep -1", "env x", "echo -e x", "echo `true`", 'echo "$HOME"',
    ],
)  # fmt: skip
async def test_what_is_not_modelled_is_refused_in_one_line(command):
    """Exit code 2 and a sentence on standard error; nothing succeeds silently."""
    ran = await Bench().sh("order-service", command)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("The lab does not model ")
    assert ran.err.count("\n") == 1


async def test_a_shell_without_input_ends_at_once():
    """As `kubectl exec POD -- sh` without -i does."""
    ran = await Bench().exec("order-service", "sh")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("command", "code", "out"),
    [
        ("true && echo yes", 0, "yes\n"),
        ("false && echo yes", 1, ""),
        ("false || echo no", 0, "no\n"),
        ("false; echo 'a  b' \"c\" d\\ e", 0, "a  b c d e\n"),
        ("echo -n x; false", 1, "x"),
        ("echo first; ls || echo never", 2, "first\n"),
        ("curl x || echo caught", 0, "caught\n"),
        ("/bin/echo hello", 0, "hello\n"),
        ("echo ';' '&&'", 0, "; &&\n"),
    ],
)
async def test_simple_commands_can_be_joined(command, code, out):
    """`&&`, `||`, `;` and quotes work as in a shell."""
    ran = await Bench().sh("order-service", command)
    assert (ran.code, ran.out) == (code, out)


@pytest.mark.parametrize(
    ("command", "code", "out"),
    [
        ("echo a; exit 3; echo b", 3, "a\n"),
        ("false; exit", 1, ""),
        ("false || exit 300", 44, ""),
        ("sh -c 'exit 5' || echo caught", 0, "caught\n"),
        ("exit foo", 2, ""),
    ],
)
async def test_exit_ends_a_shell(command, code, out):
    """With its own code, or that of the last command; only the innermost shell ends."""
    ran = await Bench().sh("order-service", command)
    assert (ran.code, ran.out) == (code, out)


async def test_a_shell_runs_its_input_line_by_line():
    """A script on standard input: comments, an open quote over two lines, and the last code."""
    bench = Bench()
    request = bench.start("order-service", "sh")
    request.stdin = asyncio.StreamReader()
    request.stdin.feed_data(b"# a script\n\necho a\n")
    request.stdin.feed_data(b"echo 'b\nc'\nfalse ||\necho d\nnc -zv -w2 10.0.96.101 3002\n")
    request.stdin.feed_eof()
    code, seconds = await bench.clock.run(bench.net.exec(request))
    assert (code, bytes(request.output)) == (1, b"a\nb\nc\nd\n")
    assert round(seconds, 1) == 2.0


async def test_a_script_that_breaks_off_is_refused():
    """An open quote at the end of the input."""
    bench = Bench()
    request = bench.start("order-service", "sh")
    request.stdin = asyncio.StreamReader()
    request.stdin.feed_data(b"echo 'b")
    request.stdin.feed_eof()
    code, _ = await bench.clock.run(bench.net.exec(request))
    assert (code, bytes(request.output)) == (2, b"")


async def test_cat_repeats_its_input():
    """Whatever bytes come."""
    bench = Bench()
    request = bench.start("order-service", "cat")
    request.stdin = asyncio.StreamReader()
    request.stdin.feed_data(b"\xff\x00bytes")
    request.stdin.feed_eof()
    code, _ = await bench.clock.run(bench.net.exec(request))
    assert (code, bytes(request.output)) == (0, b"\xff\x00bytes")


def test_words_are_split_as_a_shell_splits_them():
    """Quotes join, operators separate, wherever they stand."""
    steps = parse_shell("wget -q --spider 'http://a/?b=c&d'&&echo \"it's\" ok;true")
    assert [(s.after, s.argv) for s in steps] == [
        ("", ["wget", "-q", "--spider", "http://a/?b=c&d"]),
        ("&&", ["echo", "it's", "ok"]),
        (";", ["true"]),
    ]


def test_an_unquoted_ampersand_is_no_part_of_a_word():
    """A URL with & must be quoted, as in a shell."""
    with pytest.raises(NotModelled, match="background jobs"):
        parse_shell("wget --spider http://a/b&c")


async def test_waiting_commands_do_not_hold_up_others():
    """Five denied checks at once take as long as one."""
    bench = Bench()
    await bench.apply("allow-order-service-traffic", egress=[{}])
    requests = [
        bench.start("order-service", "nc", "-zv", "-w2", "10.0.96.101", "3002") for _ in range(5)
    ]
    codes, seconds = await bench.clock.run(asyncio.gather(*map(bench.net.exec, requests)))
    assert codes == [1, 1, 1, 1, 1]
    assert round(seconds, 1) == 2.0


async def test_a_policy_that_opens_while_nc_waits_makes_a_slow_success():
    """The SYN after the change gets through: 1 s instead of an error."""
    bench = Bench()
    good = bench.policy("allow-rabbitmq-traffic")["spec"]["ingress"]
    await bench.apply("allow-rabbitmq-traffic", ingress=NOBODY)
    request = bench.start("order-service", "nc", "-zv", "-w5", "10.0.154.203", "5672")
    work = asyncio.ensure_future(bench.net.exec(request))
    await bench.clock.advance(0.5)
    bench.write("allow-rabbitmq-traffic", ingress=good)
    code, seconds = await bench.clock.run(work)
    assert code == 0
    assert round(0.5 + seconds, 1) == 1.0


async def test_a_pod_that_does_not_exist_is_an_error():
    """One sentence, exit code 1."""
    bench = Bench()
    request = bench.start("order-service", "true", container="sidecar")
    code, _ = await bench.clock.run(bench.net.exec(request))
    assert code == 1
    assert b"container 'sidecar' of pets/order-service-" in bytes(request.errors)
