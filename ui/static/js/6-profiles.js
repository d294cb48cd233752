// The form of a profile: what does not count is hidden, the preview follows what is typed, and a certificate's file is read into its field.
// Without scripts all fields are there, and the server takes no notice of those that do not count.
muster.each("[data-wizard]", (form) => {
  const value = (name) => {
    const all = [...form.elements].filter((el) => el.name === name);
    const el = all.find((x) => x.type === "radio" ? x.checked : true);
    if (!el || (el.type === "radio" && !el.checked)) return "";
    return el.type === "checkbox" ? String(el.checked) : el.value;
  };
  const parts = [...form.querySelectorAll("[data-when]")];
  const apply = () => parts.forEach((part) => {
    const [name, want] = part.dataset.when.split("=");
    const other = [...form.elements].find((el) => el.name === name && el.type !== "hidden");
    part.hidden = !want.split("|").includes(value(name)) || Boolean(other?.closest("[data-when][hidden]"));
  });
  const sections = [...form.querySelectorAll("details.disclose, section[data-settings]")];
  const tidy = () => sections.forEach((d) => {
    const inside = [...d.querySelectorAll(".setting")];
    if (inside.length) d.hidden = inside.every((part) => part.hidden);
  });
  const all = () => { apply(); tidy(); };
  form.addEventListener("change", all);
  all();

  let timer = 0, turn = 0;
  const filled = async () => {
    const mine = ++turn;
    const body = new URLSearchParams(new FormData(form));
    body.set("go", "show");
    try {
      const answer = await fetch(form.action, { method: "POST", body });
      if (!answer.ok || mine !== turn) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("filled");
      const old = document.getElementById("filled");
      if (!fresh || !old) return;
      const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
      old.replaceWith(document.adoptNode(fresh));
      if (focus) document.getElementById(focus)?.focus();
    } catch { /* the old preview stays */ }
  };
  if (document.getElementById("filled")) form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filled, 350); });
});
muster.each("[data-file-into]", (input) => input.addEventListener("change", async () => {
  const file = input.files[0];
  if (!file || file.size > 100000) return;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  const readable = text.includes("-----BEGIN") || !/[\u0000\ufffd]/.test(text);
  document.getElementById(input.dataset.fileInto).value = readable ? text : btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  input.value = "";
}));
// A group's form shows its rule as soon as that is chosen.
muster.each("[data-group-form]", (form) => form.addEventListener("change", (e) => {
  if (e.target.name !== "way" && e.target.name !== "kind") return;
  const button = document.createElement("button");
  button.name = "do";
  button.value = "way";
  button.hidden = true;
  form.append(button);
  form.requestSubmit(button);
}));
