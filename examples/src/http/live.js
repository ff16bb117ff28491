// Updates the list of jobs. Without this script the page shows the state of its loading time.
const every = 1500;

async function refresh() {
  if (document.hidden || !getSelection().isCollapsed) return;
  const answer = await fetch("/");
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  const live = document.getElementById("live");
  if (fresh && fresh.innerHTML !== live.innerHTML) live.replaceWith(document.adoptNode(fresh));
}

async function keepFresh() {
  // The service may stop while the page is open; the next request follows at the same interval.
  await refresh().catch(() => {});
  setTimeout(keepFresh, every);
}

setTimeout(keepFresh, every);
