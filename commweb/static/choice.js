// Shows the fields of the provider that is chosen; without it the button "Update" does.
(() => {
  const select = document.querySelector("select[name=provider]");
  const parts = document.querySelectorAll("[data-commweb-for]");
  if (!select || parts.length === 0) return;
  const show = () => {
    for (const part of parts) {
      part.hidden = !part.dataset.commwebFor.split(" ").includes(select.value);
    }
  };
  select.addEventListener("change", show);
  // A browser may bring another choice back with the page.
  window.addEventListener("pageshow", show);
  show();
})();
