// The frame is as tall as its content, so "fixed" means "somewhere in the frame". An IntersectionObserver with the
// implicit root reports which part of the frame is on screen; dialog and bulk bar are placed inside that part.
import { find, findAll } from './dom.js'

const app = find('#app')
const everyPercent = Array.from({ length: 101 }, (_, i) => i / 100)

const areaObserver = new IntersectionObserver((entries) => {
  const { intersectionRect: visible, boundingClientRect: whole } = entries.at(-1)
  if (!visible.height) return
  const root = document.documentElement.style
  root.setProperty('--visible-top', `${Math.max(0, visible.top)}px`)
  root.setProperty('--visible-height', `${visible.height}px`)
  root.setProperty('--hidden-bottom', `${Math.max(0, Math.min(innerHeight, whole.bottom) - visible.bottom)}px`)
}, { threshold: everyPercent })

export function updateVisibleArea() {
  areaObserver.unobserve(app)
  areaObserver.observe(app)
}

// While both ends of the frame are off screen the visible share is constant and the observer does not fire; rows that
// enter or leave the screen show that the portal is scrolling.
const rowObserver = new IntersectionObserver(updateVisibleArea, { threshold: [0, 0.25, 0.5, 0.75, 1] })

export function observeRows() {
  rowObserver.disconnect()
  findAll('tbody tr, .items li').forEach((row) => rowObserver.observe(row))
}

new ResizeObserver(updateVisibleArea).observe(app)
addEventListener('resize', updateVisibleArea)
