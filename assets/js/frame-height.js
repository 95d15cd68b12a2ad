// Outside a slider the portal is asked for a frame as tall as its content, so that the portal's page scrolls. Its width
// is the portal's to say: one of ours would stay when a scrollbar comes or the window changes.
import { find } from './dom.js'
import { portal } from './portal.js'

const app = find('#app')
const height = () => Math.ceil(app.getBoundingClientRect().height)
let lastHeight = 0

function fitFrame(b24) {
  if (height() === lastHeight || height() === 0) return
  lastHeight = height()
  b24.parent.fitWindow()
}

portal().then((b24) => {
  document.documentElement.dataset.portal = b24 ? 'connected' : 'silent'
  if (!b24) return
  b24.parent.setTitle(document.title)
  if (b24.placement.isSliderMode) return
  // The SDK measures the document, which is never shorter than its frame.
  b24.parent.getScrollSize = () => ({ scrollWidth: app.scrollWidth, scrollHeight: height() })
  new ResizeObserver(() => fitFrame(b24)).observe(app)
})
