(() => {
  const wrong = [];
  const name = (el) => {
    let s = el.tagName.toLowerCase();
    if (el.id) s += "#" + el.id;
    else if (el.classList.length) s += "." + [...el.classList].join(".");
    const text = (el.textContent || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return text ? `${s} “${text}”` : s;
  };
  const shown = (el) => el.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !el.closest(".sr");

  // The document.
  if (!document.documentElement.lang) wrong.push("the page has no language");
  if (!document.title.trim()) wrong.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) wrong.push("the page needs exactly one main");
  const h1 = [...document.querySelectorAll("h1")].filter(shown);
  if (h1.length !== 1) wrong.push(`the page has ${h1.length} headings of the first level`);
  let level = 0;
  for (const h of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    if (!shown(h)) continue;
    const n = +h.tagName[1];
    if (n > level + 1) wrong.push(`heading level skipped before ${name(h)}`);
    level = n;
  }
  const ids = new Set();
  for (const el of document.querySelectorAll("[id]")) {
    if (ids.has(el.id)) wrong.push(`two elements have the id ${el.id}`);
    ids.add(el.id);
  }
  for (const el of document.querySelectorAll("[aria-describedby], [aria-labelledby], [aria-controls]")) {
    for (const attr of ["aria-describedby", "aria-labelledby", "aria-controls"]) {
      for (const id of (el.getAttribute(attr) || "").split(" ").filter(Boolean)) {
        if (!document.getElementById(id)) wrong.push(`${attr} of ${name(el)} names ${id}, which is not there`);
      }
    }
  }
  const navs = [...document.querySelectorAll("nav, aside")].filter(shown).filter((n) => !n.ariaLabel && !n.getAttribute("aria-labelledby"));
  for (const n of navs) wrong.push(`${name(n)} has no label`);
  const seenNav = new Map();
  for (const n of [...document.querySelectorAll("nav, aside, section[aria-label], section[aria-labelledby], [role=region]")].filter(shown)) {
    const label = n.ariaLabel || [...(n.getAttribute("aria-labelledby") || "").split(" ")].map((id) => document.getElementById(id)?.textContent.trim() || "").join(" ");
    const key = n.tagName + label.trim();
    if (label.trim() && seenNav.has(key)) wrong.push(`two landmarks are called “${label.trim()}”`);
    seenNav.set(key, n);
  }
  for (const el of document.body.children) {
    if (!shown(el) || !el.textContent.trim() || el.matches("header, main, nav, aside, footer, dialog, template, script, noscript, .skip, [role]")) continue;
    wrong.push(`outside every landmark: ${name(el)}`);
  }
  for (const el of document.querySelectorAll("[tabindex]")) if (el.tabIndex > 0) wrong.push(`${name(el)} pushes itself to the front of the tab order`);
  for (const el of document.querySelectorAll("[aria-hidden=true] :is(a[href], button, input, select, textarea):not([tabindex='-1'])")) wrong.push(`${name(el)} takes the focus, but is hidden from screen readers`);
  for (const el of document.querySelectorAll("ul > :not(li, template), ol > :not(li, template), dl > :not(div, dt, dd)")) wrong.push(`${name(el)} in a list is no item of it`);
  for (const el of document.querySelectorAll("th:not([scope])")) wrong.push(`${name(el)} does not say what it is the head of`);
  for (const el of document.querySelectorAll("[aria-invalid=true]:not([aria-describedby])")) wrong.push(`${name(el)} is wrong, and nothing says why`);
  for (const el of document.querySelectorAll("details > :not(summary)")) if (!el.parentElement.querySelector(":scope > summary")) wrong.push(`${name(el.parentElement)} opens by nothing that has words`);

  for (const el of document.querySelectorAll("[style], style, script:not([src])")) wrong.push(`inline style or script: ${name(el)}`);
  for (const el of document.querySelectorAll("*")) for (const a of el.attributes) if (/^on/.test(a.name)) wrong.push(`inline handler ${a.name} on ${name(el)}`);

  // Names of what can be used.
  const labelled = (el) => {
    if (el.getAttribute("aria-label") || el.getAttribute("aria-labelledby") || el.title) return true;
    if (el.labels && el.labels.length && [...el.labels].some((l) => l.textContent.trim())) return true;
    return false;
  };
  for (const el of document.querySelectorAll("input:not([type=hidden]), select, textarea")) if (shown(el) && !labelled(el)) wrong.push(`${name(el)} [name=${el.name}] has no label`);
  for (const el of document.querySelectorAll("a[href], button, summary")) if (shown(el) && !el.textContent.trim() && !labelled(el)) wrong.push(`${name(el)} has no words`);
  for (const el of document.querySelectorAll("img:not([alt])")) wrong.push(`${name(el)} has no alternative text`);
  for (const el of document.querySelectorAll("svg")) if (!el.getAttribute("aria-hidden") && !el.getAttribute("aria-label")) wrong.push(`${name(el.parentElement)}: a drawing has neither label nor aria-hidden`);
  for (const el of document.querySelectorAll("table")) if (!el.querySelector("th[scope], caption")) wrong.push(`${name(el)}: a table without scoped heads`);
  const forms = [...document.querySelectorAll("form[method=get], form:not([method])")].filter(shown).filter((f) => f.querySelector("[type=password]"));
  for (const f of forms) wrong.push(`${name(f)} would put a password into the address`);

  // Sideways scrolling.
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) {
    const culprits = [...document.querySelectorAll("body *")].filter((el) => shown(el) && el.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(-3);
    wrong.push(`the page scrolls sideways by ${wide}px: ${culprits.map(name).join(", ")}`);
  }
  for (const el of document.querySelectorAll(".btn, h1, h2, h3, .status, .chip, .tag, summary")) {
    if (shown(el) && el.scrollWidth > el.clientWidth + 2 && getComputedStyle(el).overflowX === "visible" && getComputedStyle(el).display !== "inline") wrong.push(`text sticks out of ${name(el)}`);
  }

  // The tab that one is on lies within its strip, and a status begins like a sentence.
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
    const box = tab.getBoundingClientRect(), strip = tab.parentElement.getBoundingClientRect();
    if (box.left < strip.left - 1 || box.right > strip.right + 1) wrong.push(`the current tab lies outside its strip: ${name(tab)}`);
  }
  for (const el of document.querySelectorAll(".status")) {
    const word = el.textContent.trim();
    if (shown(el) && /^\p{Ll}(?!\p{Lu})/u.test(word)) wrong.push(`a status without a capital: ${name(el)}`);
  }

  // Contrast.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const cache = new Map();
  const rgba = (css) => {
    if (!cache.has(css)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = css;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      cache.set(css, [r, g, b, a / 255]);
    }
    return cache.get(css);
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = (el) => {
    const layers = [];
    for (let n = el; n; n = n.parentElement) {
      const c = rgba(getComputedStyle(n).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const el = n.parentElement;
    if (!n.data.trim() || !el || seen.has(el) || !shown(el) || el.closest("template, script, noscript, title, option, .qr, svg")) continue;
    if (el.closest("[disabled], [aria-disabled=true]")) continue;
    seen.add(el);
    const style = getComputedStyle(el), back = behind(el);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (size === 0) continue;
    const r = ratio(over(rgba(style.color), back), back);
    if (r < (large ? 3 : 4.5)) wrong.push(`contrast ${r.toFixed(2)} of ${name(el)}`);
  }
  for (const el of document.querySelectorAll("input[placeholder]")) {
    if (!shown(el)) continue;
    const r = ratio(rgba(getComputedStyle(el, "::placeholder").color), behind(el));
    if (r < 4.5) wrong.push(`contrast ${r.toFixed(2)} of the placeholder of ${name(el)}`);
  }
  for (const el of document.querySelectorAll("input:not([type=hidden]):not([disabled]):not([readonly]), select:not([disabled]), textarea:not([disabled])")) {
    if (!shown(el) || ["checkbox", "radio"].includes(el.type)) continue;
    const style = getComputedStyle(el);
    if (style.borderTopWidth === "0px") continue;
    const r = ratio(rgba(style.borderTopColor), behind(el.parentElement));
    if (r < 3) wrong.push(`contrast ${r.toFixed(2)} of the border of ${name(el)} [name=${el.name}]`);
  }
  // Targets on a phone (WCAG 2.2, 2.5.8: 24 px, text links excepted).
  if (innerWidth <= 500) for (const el of document.querySelectorAll("button, .btn, summary, input[type=checkbox], input[type=radio], nav a")) {
    if (!shown(el)) continue;
    const box = (el.closest("label") || el).getBoundingClientRect();
    if (box.width < 24 || box.height < 24) wrong.push(`target ${Math.round(box.width)}×${Math.round(box.height)} px: ${name(el)}`);
  }
  return wrong;
})()
