// Says that a slow answer is being waited for, and keeps the form from being sent twice.
(function () {
  "use strict";
  var busy = [];
  function place(form) { return form.querySelector("[data-commweb-busy-place]"); }
  document.querySelectorAll("form[data-commweb-busy]").forEach(function (form) {
    form.addEventListener("submit", function (event) {
      if (busy.indexOf(form) >= 0) { event.preventDefault(); return; }
      if (event.submitter && "commwebQuick" in event.submitter.dataset) { return; }
      busy.push(form);
      form.setAttribute("aria-busy", "true");
      if (place(form)) { place(form).textContent = form.dataset.commwebBusy; }
    });
  });
  // Coming back with the browser's Back button finds the form ready again.
  window.addEventListener("pageshow", function () {
    busy.splice(0).forEach(function (form) {
      form.removeAttribute("aria-busy");
      if (place(form)) { place(form).textContent = ""; }
    });
  });
})();
