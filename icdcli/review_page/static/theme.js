// Sets the theme before the page is drawn, so that a dark page doesn't flash white. Not a module,
// since modules run too late.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
