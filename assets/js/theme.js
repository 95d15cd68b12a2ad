// Light or dark: applied at once, stored by the server for this user.
const root = document.documentElement

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  const button = ctx.sourceElement
  if (!button.hasAttribute('data-theme-toggle')) return
  const theme = root.dataset.theme === 'dark' ? 'light' : 'dark'
  ctx.request.body.set('theme', theme)
  root.dataset.theme = theme
  button.setAttribute('aria-pressed', String(theme === 'dark'))
})
