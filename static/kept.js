/* Keeps what somebody typed into a form when the session ended before it was sent.

   Nothing leaves the browser: sessionStorage, for this tab and this person, at most an hour. Only
   plain text fields are kept. Never kept: passwords, codes and tokens, fields with autocomplete
   "off", and what is marked with data-secret. It is offered back where it was typed; without this
   script a refused form says the same and keeps nothing. */
(() => {
  "use strict";
  const SENT = "site-sent";
  const KEPT = "site-kept";
  const AN_HOUR = 60 * 60 * 1000;
  const TEXTS = new Set(["text", "search", "url", "email", "tel", "number", "date", "textarea"]);
  const SECRET = /pass|token|secret|code|key|csrf/i;

  const read = (name) => {
    try {
      return JSON.parse(sessionStorage.getItem(name) || "null");
    } catch {
      return null;
    }
  };
  const write = (name, value) => {
    try {
      if (value) sessionStorage.setItem(name, JSON.stringify(value));
      else sessionStorage.removeItem(name);
    } catch {
      // No storage, or no room in it: nothing is kept.
    }
  };

  const person = document.querySelector("[data-person]")?.dataset.person || "";
  const path = location.pathname;
  const target = (form) => new URL(form.getAttribute("action") || path, location.href).pathname;

  const mayBeKept = (field) =>
    TEXTS.has(field.type) &&
    field.name &&
    !SECRET.test(`${field.name} ${field.id}`) &&
    !/off|password|one-time-code/.test(field.autocomplete) &&
    field.form.autocomplete !== "off" &&
    !field.closest("[data-secret]") &&
    // A password that its eye has made readable is a password still.
    !document.querySelector(`[data-commweb-reveal="${CSS.escape(field.id)}"]`);

  const texts = (form) => Array.from(form.elements).filter(mayBeKept);

  /* Something was typed and sent. Whether it was refused, the next page shows. */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    write(SENT, null);
    if (!person || form.method !== "post" || event.defaultPrevented) return;
    const typed = texts(form).filter((field) => field.value !== field.defaultValue);
    if (!typed.length) return;
    write(SENT, {
      person,
      path,
      target: target(form),
      at: Date.now(),
      fields: typed.map((field) => [field.name, field.value]),
    });
  });

  const sent = read(SENT);
  if (sent && (!person || document.querySelector("[data-keep-typed]"))) write(KEPT, sent);
  write(SENT, null);

  const kept = read(KEPT);
  if (!kept) return;
  if ((person && kept.person !== person) || Date.now() - kept.at > AN_HOUR) {
    write(KEPT, null);
    return;
  }
  if (!person || kept.path !== path) return;
  const form = Array.from(document.forms).find(
    (each) => each.method === "post" && target(each) === kept.target,
  );
  const offer = document.getElementById("site-kept")?.content.cloneNode(true).firstElementChild;
  if (!form || !offer) return;

  const done = (focused) => {
    write(KEPT, null);
    offer.remove();
    focused?.focus();
  };
  offer.querySelector("[data-put-back]").addEventListener("click", () => {
    let first = null;
    for (const [name, value] of kept.fields) {
      const field = texts(form).find((each) => each.name === name);
      if (!field) continue;
      field.value = value;
      first ||= field;
    }
    done(first);
  });
  offer.querySelector("[data-forget]").addEventListener("click", () => {
    done(form.querySelector("input:not([type=hidden])"));
  });
  form.before(offer);
})();
