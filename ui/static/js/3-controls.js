// Copy buttons, menus, the theme, the typed confirmation, filters that apply themselves.
muster.each("[data-copy]", (button) => button.addEventListener("click", async () => {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.innerText);
    muster.toast(muster.texts().copied);
  } catch {
    getSelection().selectAllChildren(source); // plain HTTP has no clipboard: leave it selected
  }
}));
muster.each("[data-print]", (button) => button.addEventListener("click", () => print()));
muster.each("[data-preferences]", (form) => form.addEventListener("submit", (e) => {
  const choice = e.submitter;
  if (choice?.name !== "theme") return;
  e.preventDefault();
  const root = document.documentElement;
  if (choice.value === "auto") delete root.dataset.theme; else root.dataset.theme = choice.value;
  document.querySelectorAll('[name="theme"]').forEach((b) => b.setAttribute("aria-pressed", String(b.value === choice.value)));
  fetch(form.action, { method: "POST", body: new URLSearchParams({ theme: choice.value, quiet: "1" }) });
}));
document.addEventListener("click", (e) => document.querySelectorAll("details.menu[open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; }));
document.addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  document.querySelectorAll("details.menu[open]").forEach((d) => { d.open = false; d.querySelector("summary").focus(); });
});
// A dangerous button waits until the object's name is typed; the server checks again.
muster.each("[data-confirm]", (button) => {
  const input = button.form.elements.namedItem("confirm");
  if (!input) return;
  const same = () => { button.disabled = input.value.trim().toLowerCase() !== button.dataset.confirm.trim().toLowerCase(); };
  input.addEventListener("input", same);
  same();
});
// A form is sent once.
document.addEventListener("submit", (e) => {
  if (e.defaultPrevented || e.target.method !== "post") return;
  if (e.target.dataset.sent) { e.preventDefault(); return; }
  e.target.dataset.sent = "1";
  setTimeout(() => { delete e.target.dataset.sent; }, 4000);
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((f) => { delete f.dataset.sent; }));
muster.each("[data-apply]", (form) => form.addEventListener("change", (e) => { if (e.target.matches("select, input[type=checkbox]")) form.requestSubmit(); }));
// The current tab comes into view when the strip of tabs is wider than the screen.
muster.each(".tabs [aria-current]", (tab) => {
  const strip = tab.parentElement;
  new ResizeObserver(() => { strip.scrollLeft = tab.offsetLeft - strip.offsetLeft - (strip.clientWidth - tab.offsetWidth) / 2; }).observe(strip);
});
// An iPad says that it is a Mac; only a script can tell.
if (navigator.maxTouchPoints > 1 && /Macintosh/.test(navigator.userAgent)) document.documentElement.classList.add("touch-mac");
// The set-up code travels in the fragment, which no server log sees; it moves into the field and out of the address.
muster.each("[data-fragment]", (input) => {
  const code = location.hash.slice(1);
  if (code.length < 20) return;
  input.value = code;
  history.replaceState(null, "", location.pathname + location.search);
  input.closest("[data-fragment-box]")?.setAttribute("hidden", "");
  document.querySelector("[data-fragment-note]")?.removeAttribute("hidden");
});
