// Buttons that show what is being typed into a masked field. Without scripts they stay hidden.
(function () {
  "use strict";
  document.querySelectorAll("[data-commweb-reveal]").forEach(function (button) {
    var field = document.getElementById(button.dataset.commwebReveal);
    if (!field) { return; }
    function show(shown) {
      field.type = shown ? "text" : "password";
      button.firstElementChild.textContent = shown ? button.dataset.hide : button.dataset.show;
    }
    button.hidden = false;
    button.addEventListener("click", function () { show(field.type === "password"); });
    // Never send or remember it as an ordinary text field.
    if (field.form) { field.form.addEventListener("submit", function () { show(false); }); }
  });
})();
