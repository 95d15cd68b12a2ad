// Light or dark, at one click: applied at once, stored by the server for this user.
const root = document.documentElement
const isDark = () => root.dataset.theme === 'dark' || (root.dataset.theme === 'system' && prefersDark.matches)
const prefersDark = matchMedia('(prefers-color-scheme: dark)')

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  const button = ctx.sourceElement
  if (!button.hasAttribute('data-theme-toggle')) return
  const theme = isDark() ? 'light' : 'dark'
  ctx.request.body.set('theme', theme)
  root.dataset.theme = theme
  button.setAttribute('aria-pressed', String(theme === 'dark'))
})
