// Small commands declared in the markup: <button data-do="close-dialog">. Each module adds its own.
const known = new Map()

export const command = (name, act) => known.set(name, act)

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('[data-do]')
  if (button) known.get(button.dataset.do)?.(button)
})
