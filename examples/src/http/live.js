// Replaces the part of the page that changes with what the service says now. Without it the page is as good as it was
// when it was loaded.
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
  // The service may be stopped while the page is open: it is asked again, no faster.
  await refresh().catch(() => {});
  setTimeout(keepFresh, every);
}

setTimeout(keepFresh, every);
