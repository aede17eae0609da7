// Turns "will be ready soon" into "Open chat" without a reload: asks the JSON, less and less often,
// and not while nobody looks at the page.
(() => {
  const FIRST_SECONDS = 1;
  const LONGEST_SECONDS = 30;
  const WAITING = ["pending", "failing"];

  const openLink = (section) => {
    const link = document.createElement("a");
    link.className = "btn btn-primary";
    link.href = section.dataset.commwebChat;
    link.rel = "noopener";
    link.textContent = section.dataset.commwebOpen;
    link.dataset.commwebOpened = "";
    section.querySelector(".commweb-actions").prepend(link, " ");
  };

  const show = (section, told) => {
    const sentence = section.querySelector(".commweb-sentence");
    // Only what is new: a live region reads every write aloud.
    if (sentence && sentence.textContent !== (told.message || "")) {
      sentence.textContent = told.message || "";
    }
    section.dataset.commwebStatus = told.status || "";
    const opened = section.querySelector("[data-commweb-opened]");
    if (told.rooms.some((room) => room.url) && !opened) openLink(section);
  };

  const isWaiting = (told) =>
    WAITING.includes(told.status) || told.rooms.some((room) => WAITING.includes(room.status));

  const later = (section, seconds) => {
    const next = Math.min(seconds * 1.5, LONGEST_SECONDS);
    setTimeout(ask, seconds * 1000, section, next);
  };

  const ask = async (section, seconds) => {
    if (document.hidden) {
      const again = () => ask(section, FIRST_SECONDS);
      document.addEventListener("visibilitychange", again, { once: true });
      return;
    }
    try {
      const reply = await fetch(section.dataset.commwebPoll, {
        headers: { Accept: "application/json" },
      });
      if (reply.ok) {
        const told = await reply.json();
        show(section, told);
        if (!isWaiting(told)) return;
      } else if (reply.status < 500) {
        return;
      }
    } catch {
      // The site is away for a moment: ask again later.
    }
    later(section, seconds);
  };

  for (const section of document.querySelectorAll("[data-commweb-poll]")) {
    later(section, FIRST_SECONDS);
  }
})();
