// The app in the frame. htmx asks and swaps; each module below adds one habit.
import 'htmx.org'
import './js/healing.js'
import './js/orders.js'
import './js/stale-answers.js'
import './js/theme.js'
import './js/notices.js'
import './js/selection.js'
import './js/dialog.js'
import './js/download.js'
import './js/fit.js'
import { refresh } from './js/views.js'

refresh()
