// What a browser knows of a page and axe-core does not ask. Evaluated in the page; gives an object of functions.
(() => {
  const INTERACTIVE = "a[href], button, summary, input, select, textarea, [tabindex]";

  // A short name of an element, for a person who looks for it in the page.
  const named = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const kind = typeof element.className === "string" && element.className
      ? `.${element.className.trim().split(/\s+/).join(".")}` : "";
    const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `${element.tagName.toLowerCase()}${id}${kind} "${text}"`;
  };

  const shown = (element) => element.checkVisibility({ checkVisibilityCSS: true, contentVisibilityAuto: true })
    && element.getClientRects().length > 0;

  // Colours as the browser paints them, whatever notation the style sheet has.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const seen = new Map();
  const rgba = (colour) => {
    if (!seen.has(colour)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = "#000";
      brush.fillStyle = colour;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      seen.set(colour, [r, g, b, a / 255]);
    }
    return seen.get(colour);
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  // What lies behind an element: the colours of it and of what it stands in, down to the first solid one.
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    let found = rgba("Canvas");
    for (const layer of layers.reverse()) found = over(layer, found);
    return found;
  };

  // In a drawing: whatever was drawn before, where the middle of the text is.
  const behindDrawn = (text) => {
    let found = behind(text.ownerSVGElement);
    const box = text.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    for (const shape of text.ownerSVGElement.querySelectorAll("rect, path, circle, polygon, ellipse")) {
      if (!(shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING) || shape.closest("defs")) continue;
      const area = shape.getBoundingClientRect();
      if (x < area.left || x > area.right || y < area.top || y > area.bottom) continue;
      const style = getComputedStyle(shape);
      if (style.fill === "none" || style.fill.startsWith("url")) continue;
      const colour = [...rgba(style.fill)];
      colour[3] *= Number(style.fillOpacity) * Number(style.opacity);
      found = over(colour, found);
    }
    return found;
  };

  const textsOf = (root) => {
    const found = new Set();
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const parent = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && shown(parent) && !parent.closest("title, desc, script, style")) found.add(parent);
    }
    return [...found];
  };

  return {
    // Texts whose contrast is below the least, each as "name: ratio".
    faint: (least) => textsOf(document.body).flatMap((element) => {
      const style = getComputedStyle(element);
      const drawn = element.ownerSVGElement;
      const ground = drawn ? behindDrawn(drawn && (element.closest("text") || element)) : behind(element);
      const found = ratio(over(rgba(drawn ? style.fill : style.color), ground), ground);
      return found < least ? [`${named(element)}: ${found.toFixed(2)}`] : [];
    }),
    // Texts of drawings that are smaller on the screen than so many CSS pixels.
    small: (least) => textsOf(document.body).filter((element) => element.ownerSVGElement).flatMap((element) => {
      const scale = element.getScreenCTM().a;
      const size = parseFloat(getComputedStyle(element).fontSize) * scale;
      return size < least - 0.05 ? [`${named(element)}: ${size.toFixed(1)}px`] : [];
    }),
    // Texts of a drawing that lie over each other.
    colliding: () => [...document.querySelectorAll("svg")].filter(shown).flatMap((drawing) => {
      const texts = [...drawing.querySelectorAll("text")].filter((one) => one.textContent.trim() && shown(one));
      const boxes = texts.map((one) => one.getBoundingClientRect());
      const found = [];
      for (let a = 0; a < texts.length; a += 1) {
        for (let b = a + 1; b < texts.length; b += 1) {
          const wide = Math.min(boxes[a].right, boxes[b].right) - Math.max(boxes[a].left, boxes[b].left);
          const high = Math.min(boxes[a].bottom, boxes[b].bottom) - Math.max(boxes[a].top, boxes[b].top);
          // Boxes of lines are higher than their letters.
          if (wide > 1 && high > 3) found.push(`${named(texts[a])} over ${named(texts[b])}`);
        }
      }
      return found;
    }),
    // Short words, times and numbers that the end of a line divides.
    divided: () => textsOf(document.body).filter((element) => !element.ownerSVGElement).flatMap((element) => {
      const found = [];
      const range = document.createRange();
      for (const node of element.childNodes) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        for (const word of node.data.matchAll(/(?<![\w./-])(?:[A-Za-z_]{2,14}|\d\d:\d\d:\d\d(?:\.\d+)?|[−-]?\d+(?:\.\d+)?)(?![\w./-])/g)) {
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          const lines = new Set([...range.getClientRects()].filter((box) => box.width > 0).map((box) => Math.round(box.top)));
          if (lines.size > 1) found.push(`${word[0]} in ${named(element)}`);
        }
      }
      return found;
    }),
    // Texts of a drawing that its edge cuts.
    cut: () => [...document.querySelectorAll("svg")].filter(shown).flatMap((drawing) => {
      const frame = drawing.getBoundingClientRect();
      return [...drawing.querySelectorAll("text")].filter(shown).flatMap((text) => {
        const box = text.getBoundingClientRect();
        const out = box.left < frame.left - 1 || box.right > frame.right + 1
          || box.top < frame.top - 2 || box.bottom > frame.bottom + 2;
        return out ? [named(text)] : [];
      });
    }),
    // How far the document scrolls sideways, and what sticks out.
    sideways: () => {
      // A page that names no width of its own is laid out for a desk, and shown small.
      const wide = Math.min(document.documentElement.clientWidth, screen.width);
      const beyond = document.scrollingElement.scrollWidth - wide;
      if (beyond <= 0) return [];
      const boxed = (element) => {
        for (let one = element.parentElement; one && one !== document.body; one = one.parentElement) {
          if (getComputedStyle(one).overflowX !== "visible") return true;
        }
        return false;
      };
      const out = [...document.body.querySelectorAll("*")]
        .filter((one) => shown(one) && one.getBoundingClientRect().right > wide + 1 && !boxed(one));
      return [`${beyond}px`, ...out.slice(0, 5).map(named)];
    },
    // What can be tapped and is smaller than so many pixels either way.
    tiny: (least) => [...document.querySelectorAll("a[href], button, summary, input, select")].filter(shown).flatMap((element) => {
      const box = element.getBoundingClientRect();
      const small = box.width < least || box.height < least;
      const offscreen = box.bottom < 0 || box.right < 0;
      return small && !offscreen ? [`${named(element)}: ${box.width.toFixed(0)}x${box.height.toFixed(0)}`] : [];
    }),
    // What has the focus, and how it shows; null at the end of the document.
    focused: () => {
      const element = document.activeElement;
      if (!element || element === document.body || element === document.documentElement) return null;
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const ring = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
      return {
        name: named(element),
        number: [...document.querySelectorAll("*")].indexOf(element),
        tag: element.tagName.toLowerCase(),
        ring,
        contrast: ring ? ratio(over(rgba(style.outlineColor), behind(element.parentElement)), behind(element.parentElement)) : 0,
        seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
      };
    },
    // What the keyboard must reach, in the order of reading.
    reachable: () => {
      const all = [...document.querySelectorAll("*")];
      return [...document.querySelectorAll(INTERACTIVE)]
        .filter((one) => shown(one) && !one.disabled && one.tabIndex >= 0)
        .map((one) => ({ name: named(one), number: all.indexOf(one) }));
    },
    // What moves.
    moving: () => [...document.querySelectorAll("*")].flatMap((element) => {
      const style = getComputedStyle(element);
      const lasts = (value) => value.split(",").some((one) => parseFloat(one) > 0);
      return lasts(style.transitionDuration) || lasts(style.animationDuration) ? [named(element)] : [];
    }),
    // What could run a script, load a thing, or lead away.
    active: () => [...document.querySelectorAll("*")].flatMap((element) => {
      const tag = element.tagName.toLowerCase();
      const handlers = element.getAttributeNames().filter((name) => name.startsWith("on"));
      const away = ["src", "href", "xlink:href", "action", "formaction", "srcset", "data", "poster"]
        .filter((name) => (element.getAttribute(name) || "#").startsWith("#") === false
          && !(name === "href" && tag === "link" && element.getAttribute(name).startsWith("data:"))
          && !(name === "src" && element.getAttribute(name).startsWith("data:image/")));
      const bad = ["iframe", "object", "embed", "form", "base", "foreignobject", "img", "video", "audio", "applet"].includes(tag)
        && !(tag === "img" && (element.getAttribute("src") || "").startsWith("data:image/"));
      return bad || handlers.length || away.length ? [`${named(element)} ${[...handlers, ...away]}`] : [];
    }),
    openAll: () => document.querySelectorAll("details").forEach((one) => { one.open = true; }),
    paper: () => luminance(behind(document.body)),
  };
})()
