// Outside a slider the portal is asked for a frame as tall as its content, so that the portal's page scrolls.
import { find } from './dom.js'
import { portal } from './portal.js'

const app = find('#app')
let lastHeight = 0

function fitFrame(b24) {
  const height = Math.ceil(app.getBoundingClientRect().height)
  if (height === lastHeight || height === 0) return
  lastHeight = height
  b24.parent.resizeWindow(document.documentElement.clientWidth, height)
}

portal().then((b24) => {
  document.documentElement.dataset.portal = b24 ? 'connected' : 'silent'
  if (!b24) return
  b24.parent.setTitle(document.title)
  if (!b24.placement.isSliderMode) new ResizeObserver(() => fitFrame(b24)).observe(app)
})
