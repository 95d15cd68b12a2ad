// The panel that slides in from the right, one above the other: as a portal opens settings, cards and apps.
const open = []

export const topSlider = () => open.at(-1)

// kind: what is in it ('application', 'path', 'settings'); closed: called once, after it is gone
export function openSlider({ title = '', width, leftBoundary, label, kind, closed }) {
  const before = document.activeElement
  const root = document.getElementById('slider-template').content.firstElementChild.cloneNode(true)
  const [box, close, heading, body] = ['.slider-box', '.slider-close', '.slider-title', '.slider-body'].map((name) => root.querySelector(name))
  if (width) box.style.width = `min(${width}px, 100%)`
  else if (leftBoundary !== undefined) box.style.width = `calc(100% - ${leftBoundary}px)`
  if (label?.text) root.querySelector('.slider-label').textContent = label.text
  if (label?.colour) close.style.background = label.colour
  heading.textContent = title
  box.setAttribute('aria-label', title)

  const slider = {
    kind,
    body,
    set title(text) { heading.textContent = text; box.setAttribute('aria-label', text) },
    close(after) {
      if (!open.includes(slider)) return
      open.splice(open.indexOf(slider), 1)
      root.remove()
      document.body.classList.toggle('slid', open.length > 0)
      before?.focus?.()
      slider.onclose?.()
      closed?.()
      after?.()
    },
  }
  close.addEventListener('click', () => slider.close())
  root.addEventListener('mousedown', (event) => { if (event.target === root) slider.close() })
  open.push(slider)
  root.style.top = `${Math.max(0, document.querySelector('.standin-bar')?.getBoundingClientRect().bottom ?? 0)}px`
  document.getElementById('sliders').append(root)
  document.body.classList.add('slid')
  close.focus()
  return slider
}

addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) topSlider()?.close()
})
