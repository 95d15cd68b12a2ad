// The frame is as tall as its content, so "fixed" means "somewhere in the frame". An observer with the implicit root
// reports which part of the frame the person sees; dialog and bulk bar are placed inside that part.
import { find, findAll } from './dom.js'

const app = find('#app')
const everyPercent = Array.from({ length: 101 }, (_, i) => i / 100)

const eye = new IntersectionObserver((entries) => {
  const { intersectionRect: seen, boundingClientRect: whole } = entries.at(-1)
  if (!seen.height) return
  const root = document.documentElement.style
  root.setProperty('--seen-top', `${Math.max(0, seen.top)}px`)
  root.setProperty('--seen-height', `${seen.height}px`)
  root.setProperty('--hidden-bottom', `${Math.max(0, Math.min(innerHeight, whole.bottom) - seen.bottom)}px`)
}, { threshold: everyPercent })

export function look() {
  eye.unobserve(app)
  eye.observe(app)
}

// While both ends of the frame are out of sight the seen share stays constant and the observer keeps silent; the rows
// passing by tell that the portal is scrolling.
const passing = new IntersectionObserver(look, { threshold: [0, 0.25, 0.5, 0.75, 1] })

export function watchRows() {
  passing.disconnect()
  findAll('tbody tr, .items li').forEach((row) => passing.observe(row))
}

new ResizeObserver(look).observe(app)
addEventListener('resize', look)
