"""Shell text into simple commands. What the commands do is in `toolbox`.

Only what can be understood completely is accepted: words, quotes, and `&&`, `||`, `;` between
simple commands. Everything else (pipes, variables, redirections, loops) is named and refused, so
that nothing silently succeeds that a real shell would have done differently.
"""

from dataclasses import dataclass

_OPERATORS = ("&&", "||", ";")
_REFUSED = {
    "$": "variables", "`": "command substitution", "|": "pipes", "&": "background jobs",
    "<": "redirections", ">": "redirections", "(": "subshells", ")": "subshells",
    "*": "patterns", "?": "patterns", "[": "patterns", "~": "home directories",
    "#": "comments", "{": "braces", "}": "braces",
}  # fmt: skip
_KEYWORDS = frozenset(
    ["if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "!"]
)


class NotModelled(Exception):
    """A sentence that says what the lab does not model."""


class Incomplete(NotModelled):
    """The same of text that more text could complete."""


@dataclass(frozen=True, slots=True)
class Step:
    """One simple command.

    Attributes:
        after: "" for the first, else the operator in front of it: "&&", "||" or ";".
        argv: its words.
    """

    after: str
    argv: list[str]


def parse_shell(text: str) -> list[Step]:
    """Split the argument of `sh -c` into simple commands.

    Args:
        text: the command line.

    Raises:
        NotModelled: it uses more of the shell than the lab knows.
    """
    steps: list[Step] = []
    operator = ""
    argv: list[str] = []
    for token, quoted in _tokens(text):
        if token in _OPERATORS and not quoted:
            if not argv:
                raise NotModelled(f"a shell command with `{token}` at an odd place")
            steps.append(Step(operator, argv))
            operator, argv = token, []
        else:
            argv.append(token)
    if argv:
        steps.append(Step(operator, argv))
    elif operator in ("&&", "||"):
        raise Incomplete(f"a shell command that ends in `{operator}`")
    for step in steps:
        if step.argv[0] in _KEYWORDS or "=" in step.argv[0]:
            raise NotModelled(f"`{step.argv[0]}` in a shell command")
    return steps


def _tokens(text: str) -> list[tuple[str, bool]]:
    """Words and operators, each with whether any of it was quoted."""
    found: list[tuple[str, bool]] = []
    word: list[str] = []
    quoted = in_word = False
    index = 0
    while index < len(text):
        char = text[index]
        pair = text[index : index + 2]
        if char in " \t\n;" or pair in ("&&", "||"):
            if in_word:
                found.append(("".join(word), quoted))
                word, quoted, in_word = [], False, False
            if pair in ("&&", "||"):
                found.append((pair, False))
                index += 1
            elif char == ";" or (char == "\n" and found and found[-1][0] not in _OPERATORS):
                found.append((";", False))
        elif char in "'\"":
            part, index = _quoted(text, index)
            word.append(part)
            quoted = in_word = True
        elif char == "\\":
            index += 1
            word.append(text[index : index + 1])
            quoted = in_word = True
        elif char in _REFUSED and not (char == "#" and in_word):
            raise NotModelled(f"{_REFUSED[char]} in a shell command (`{char}`)")
        else:
            word.append(char)
            in_word = True
        index += 1
    if in_word:
        found.append(("".join(word), quoted))
    return found


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The text between a quote and its match, and where the match is."""
    quote, part, index = text[start], [], start + 1
    while index < len(text) and text[index] != quote:
        char = text[index]
        if quote == '"' and char in "$`":
            raise NotModelled(f"{_REFUSED[char]} in a shell command (`{char}`)")
        if quote == '"' and char == "\\" and text[index + 1 : index + 2] in ('"', "\\", "$", "`"):
            index += 1
            char = text[index]
        part.append(char)
        index += 1
    if index >= len(text):
        raise Incomplete(f"a shell command with an unmatched {quote}")
    return "".join(part), index


@dataclass(slots=True)
class Options:
    """A command line split as getopt does, options and operands in any order.

    Attributes:
        flags: option letter or long name to its values, "" for those without.
        operands: the rest.
    """

    flags: dict[str, list[str]]
    operands: list[str]

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags

    def last(self, *names: str) -> str | None:
        """The value given last under any of these names, None when not given."""
        values = [value for name in names for value in self.flags.get(name, ())]
        return values[-1] if values else None


def parse_options(
    argv: list[str], *, plain: str, valued: str, long: dict[str, bool] | None = None
) -> Options:
    """Split arguments.

    Args:
        argv: with the command's name first.
        plain: letters of options without a value.
        valued: letters of options with one, glued or separate.
        long: long options, True when with a value.

    Raises:
        NotModelled: an option that is not listed, or one without its value.
    """
    known = long or {}
    options = Options({}, [])
    rest = argv[1:]
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.operands += rest
            break
        if word.startswith("--"):
            name, glued, value = word[2:].partition("=")
            if name not in known or (glued and not known[name]):
                raise NotModelled(f"`{argv[0]} {word}`")
            if known[name] and not glued:
                value = _value(argv[0], word, rest)
            options.flags.setdefault(name, []).append(value)
        elif word.startswith("-") and len(word) > 1:
            _letters(argv[0], word[1:], rest, options, (plain, valued))
        else:
            options.operands.append(word)
    return options


def _letters(
    command: str, letters: str, rest: list[str], options: Options, known: tuple[str, str]
) -> None:
    plain, valued = known
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in valued:
            value = letters or _value(command, f"-{letter}", rest)
            options.flags.setdefault(letter, []).append(value)
            return
        if letter not in plain:
            raise NotModelled(f"`{command} -{letter}`")
        options.flags.setdefault(letter, []).append("")


def _value(command: str, option: str, rest: list[str]) -> str:
    if not rest:
        raise NotModelled(f"`{command} {option}` without a value")
    return rest.pop(0)


def seconds(command: str, text: str | None) -> float | None:
    """A time-out option as a number.

    Raises:
        NotModelled: it is no whole number of seconds.
    """
    if text is None:
        return None
    if not text.isdigit():
        raise NotModelled(f"`{command}` with a time-out of {text!r}")
    # Busybox takes 0 for "none".
    return float(text) or None
