// What all pages have above: theme, language, sign-out.

for (const one of document.querySelectorAll("[data-theme-choice]")) {
  const root = document.documentElement;
  one.value = localStorage.getItem("theme") ?? "";
  one.addEventListener("change", () => {
    if (one.value) {
      localStorage.setItem("theme", one.value);
      root.dataset.theme = one.value;
    } else {
      localStorage.removeItem("theme");
      delete root.dataset.theme;
    }
  });
}

for (const one of document.querySelectorAll("[data-language-choice]")) {
  one.value = document.documentElement.lang;
  one.addEventListener("change", () => {
    document.cookie = `language=${one.value}; path=/; max-age=31536000; SameSite=Strict`;
    location.assign(location.pathname);
  });
}

const menu = document.querySelector("details.menu");
if (menu) {
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
