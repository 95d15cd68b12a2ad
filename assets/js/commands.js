// Commands that the markup declares: <button data-do="close-dialog">. Each module registers its own. What is seldom
// needed is a bundle of its own, which is fetched with the first of its commands.
const handlers = new Map()

export const command = (name, handler) => handlers.set(name, handler)

document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('[data-do]')
  if (!button) return
  if (!handlers.has(button.dataset.do)) await import('./extras.js')
  handlers.get(button.dataset.do)?.(button)
})
