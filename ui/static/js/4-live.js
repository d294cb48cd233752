// Live pages: the server says what changed; the parts that show it are fetched anew.
// <section id="x" data-live="device:ID overview"> is replaced by the same element of the page's fresh copy.
(() => {
  const url = document.body.dataset.liveUrl;
  if (!url) return;
  let wanted = new Set(), timer = 0;
  const refresh = async () => {
    timer = 0;
    const topics = wanted;
    wanted = new Set();
    const parts = [...document.querySelectorAll("[data-live][id]")].filter((el) => {
      if (el.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return false;
      return topics.has("reset") || el.dataset.live.split(" ").some((t) => topics.has(t));
    });
    if (!parts.length) return;
    let page;
    try {
      const answer = await fetch(location.href, { headers: { "Muster-Live": "1" } });
      if (!answer.ok || answer.redirected) return;
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch { return; } // the stream reconnects and says "reset"
    for (const el of parts) {
      const fresh = page.getElementById(el.id);
      if (!fresh || fresh.outerHTML === el.outerHTML) continue;
      const open = [...el.querySelectorAll("details[open]")].map((d) => d.id);
      const focus = el.contains(document.activeElement) ? document.activeElement.id : "";
      const node = document.adoptNode(fresh);
      el.replaceWith(node);
      for (const id of open) if (id) node.querySelector("#" + CSS.escape(id))?.setAttribute("open", "");
      if (focus) document.getElementById(focus)?.focus();
      if (window.htmx) htmx.process(node);
      document.dispatchEvent(new CustomEvent("htmx:afterSettle"));
      node.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true }));
    }
  };
  let lost = false;
  const source = new EventSource(url);
  source.addEventListener("change", (e) => {
    const { kind, id } = JSON.parse(e.data);
    wanted.add(kind);
    if (id) wanted.add(kind + ":" + id);
    if (!timer) timer = setTimeout(refresh, 400);
  });
  source.addEventListener("error", () => { lost = true; });
  source.addEventListener("open", () => { if (lost) { lost = false; wanted.add("reset"); refresh(); } });
  addEventListener("pagehide", () => source.close());
})();
