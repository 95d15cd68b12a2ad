// Commands that the markup declares: <button data-do="close-dialog">. Each module registers its own.
const handlers = new Map()

export const command = (name, handler) => handlers.set(name, handler)

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-do]')
  if (button) handlers.get(button.dataset.do)?.(button)
})
