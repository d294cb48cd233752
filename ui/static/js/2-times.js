// Relative times stay current, and say the exact moment in the reader's own time zone.
(() => {
  const lang = document.documentElement.lang || "en";
  const exact = new Intl.DateTimeFormat(lang, { dateStyle: "long", timeStyle: "short" });
  const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  const plain = new Intl.RelativeTimeFormat(lang, { numeric: "always" });
  const units = [["year", 365.25 * 86400, 345 * 86400], ["month", 30.44 * 86400, 45 * 86400], ["day", 86400, 23.5 * 3600], ["hour", 3600, 59.5 * 60], ["minute", 60, 45]];
  const words = (seconds) => {
    for (const [unit, size, from] of units) {
      if (Math.abs(seconds) >= from) return (unit === "minute" || unit === "hour" ? plain : relative).format(Math.round(seconds / size) || Math.sign(seconds), unit);
    }
    return seconds <= 0 ? muster.texts().now : relative.format(1, "minute");
  };
  const write = () => document.querySelectorAll("time[data-ago]").forEach((el) => {
    const at = new Date(el.dateTime);
    if (isNaN(at)) return;
    const text = words((at - Date.now()) / 1000);
    if (text && el.textContent !== text) el.textContent = text;
    const full = exact.format(at);
    if (el.dataset.exact !== full) {
      el.dataset.exact = full;
      if (el.title) el.title = full;
    }
  });
  write();
  setInterval(write, 30000);
  document.addEventListener("htmx:afterSettle", write);
})();
