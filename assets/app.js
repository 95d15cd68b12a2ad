// The app in the frame. htmx requests and swaps; each module below adds one behaviour.
import htmx from 'htmx.org'
import './js/links.js'
import './js/session-refresh.js'
import './js/orders.js'
import './js/stale-answers.js'
import './js/theme.js'
import './js/notices.js'
import './js/selection.js'
import './js/dialog.js'
import './js/frame-height.js'
import './js/steps.js'
import { loadLater } from './js/commands.js'
import { painted } from './js/portal.js'
import { refresh } from './js/views.js'

htmx.config.defaultSettleDelay = 0 // what is swapped in is listened to at once
refresh()
painted().then(loadLater)
