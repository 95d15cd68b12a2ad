// Commands that the markup declares: <button data-do="close-dialog">. Each module registers its own; one that is not
// known yet is of the bundle that is fetched later.
const handlers = new Map()

export const command = (name, handler) => handlers.set(name, handler)
export const carryOut = (name, button) => handlers.get(name)?.(button)
export const loadLater = () => import('./later.js')

document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('[data-do]')
  if (!button) return
  const name = button.dataset.do
  if (!handlers.has(name)) await loadLater()
  carryOut(name, button)
})
