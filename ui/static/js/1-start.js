// Muster's own scripts. Every page works without them where it is a form; they add comfort.
"use strict";
document.documentElement.classList.add("js");
const muster = {
  texts: () => document.getElementById("script-texts")?.dataset ?? {},
  // each calls fn for every match, now and in whatever htmx brings later.
  each(selector, fn) {
    const run = (root) => root.querySelectorAll(selector).forEach((el) => { if (!el["done:" + selector]) { el["done:" + selector] = true; fn(el); } });
    run(document);
    document.addEventListener("htmx:load", (e) => run(e.target.parentNode ?? document));
  },
  toast(text) {
    const box = document.getElementById("toasts");
    if (!box || !text) return;
    const p = document.createElement("p");
    p.className = "toast";
    p.textContent = text;
    box.append(p);
    setTimeout(() => p.remove(), 4000);
  },
};
