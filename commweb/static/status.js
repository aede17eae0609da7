// Turns "will be ready soon" into "Open chat" without a reload: asks the JSON, less and less often.
(() => {
  const FIRST_SECONDS = 1;
  const LONGEST_SECONDS = 30;

  const show = (section, told) => {
    const sentence = section.querySelector(".commweb-sentence");
    if (sentence && told.message) sentence.textContent = told.message;
    section.dataset.commwebStatus = told.status || "";
    if (!told.url || section.querySelector("[data-commweb-opened]")) return;
    const link = document.createElement("a");
    link.className = "btn btn-primary";
    link.href = section.dataset.commwebChat;
    link.rel = "noopener";
    link.textContent = section.dataset.commwebOpen;
    link.dataset.commwebOpened = "";
    section.querySelector(".commweb-actions").prepend(link, " ");
  };

  const ask = async (section, seconds) => {
    try {
      const reply = await fetch(section.dataset.commwebPoll, { headers: { Accept: "application/json" } });
      if (reply.ok) {
        const told = await reply.json();
        show(section, told);
        if (told.status !== "pending" && told.status !== "failing") return;
      } else if (reply.status < 500) {
        return;
      }
    } catch {
      // The site is away for a moment: ask again later.
    }
    setTimeout(ask, seconds * 1000, section, Math.min(seconds * 1.5, LONGEST_SECONDS));
  };

  for (const section of document.querySelectorAll("[data-commweb-poll]")) {
    setTimeout(ask, FIRST_SECONDS * 1000, section, FIRST_SECONDS * 1.5);
  }
})();
