// The command palette: Ctrl/Cmd-K or / finds any page, device, person, profile, setting or action.
// Pages come from the navigation; the rest from /search, whose page works without a script too.
(() => {
  const dialog = document.getElementById("palette");
  if (!dialog) return;
  const input = document.getElementById("palette-input"), list = document.getElementById("palette-list");
  const texts = muster.texts();
  if (/Mac|iPhone|iPad/.test(navigator.platform)) document.querySelectorAll("[data-shortcut]").forEach((k) => { k.textContent = "⌘ K"; });
  let chosen = 0, turn = 0, wait = 0, found = [];
  const pages = () => {
    const seen = new Set();
    return [...document.querySelectorAll(".side .nav a, .side .sheet a")].filter((a) => !seen.has(a.href) && seen.add(a.href));
  };
  const copy = (a) => {
    const link = document.createElement("a");
    link.href = a.getAttribute("href");
    const icon = a.querySelector("svg");
    if (icon) link.append(icon.cloneNode(true));
    const word = document.createElement("span");
    word.textContent = (a.querySelector("[data-word]") ?? a.querySelector("span") ?? a).textContent.trim();
    link.append(word);
    if (a.dataset.kind) {
      const kind = document.createElement("span");
      kind.className = "kind";
      kind.textContent = a.dataset.kind;
      link.append(kind);
    }
    return link;
  };
  const draw = () => {
    const q = input.value.trim().toLowerCase();
    const own = pages().filter((a) => !q || a.textContent.toLowerCase().includes(q)).map(copy);
    list.replaceChildren();
    const part = (title, links) => {
      if (!links.length) return;
      const h = document.createElement("h3");
      h.textContent = title;
      h.setAttribute("role", "presentation");
      list.append(h, ...links);
    };
    part(texts.go, own);
    part(texts.found, found.map(copy));
    const all = [...list.querySelectorAll("a")];
    all.forEach((a, i) => { a.id = "palette-" + i; a.tabIndex = -1; a.setAttribute("role", "option"); });
    if (!all.length) {
      const p = document.createElement("p");
      p.className = "nothing";
      p.textContent = texts.nothing;
      list.append(p);
    }
    choose(0);
  };
  const choose = (n) => {
    const all = [...list.querySelectorAll("a")];
    chosen = all.length ? (n + all.length) % all.length : 0;
    all.forEach((a, i) => a.setAttribute("aria-selected", String(i === chosen)));
    all[chosen]?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", all[chosen]?.id ?? "");
  };
  const ask = async () => {
    const q = input.value.trim(), mine = ++turn;
    if (q.length < 2) { found = []; draw(); return; }
    try {
      const answer = await fetch("/search?q=" + encodeURIComponent(q));
      if (!answer.ok || answer.redirected || mine !== turn) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      found = [...page.querySelectorAll("#results a[data-kind]")];
      draw();
    } catch { /* offline: the pages are still there */ }
  };
  const open = () => { if (dialog.open) return; input.value = ""; found = []; draw(); dialog.showModal(); input.focus(); };
  input.addEventListener("input", () => { draw(); clearTimeout(wait); wait = setTimeout(ask, 150); });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown") { e.preventDefault(); choose(chosen + 1); }
    else if (e.key === "ArrowUp") { e.preventDefault(); choose(chosen - 1); }
    else if (e.key === "Enter") { e.preventDefault(); list.querySelectorAll("a")[chosen]?.click(); }
  });
  document.querySelectorAll("[data-palette]").forEach((a) => a.addEventListener("click", (e) => { e.preventDefault(); open(); }));
  document.addEventListener("keydown", (e) => {
    const typing = e.target.closest?.("input, textarea, select, [contenteditable]");
    if ((e.key === "k" && (e.ctrlKey || e.metaKey)) || (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey)) { e.preventDefault(); open(); }
  });
})();
