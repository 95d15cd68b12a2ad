// What nobody needs in the first moment: a bundle of its own, fetched after the first paint.
import './copy.js'
import './download.js'
import './keyboard.js'
import './pasted-list.js'
import './preferences.js'
import './select-many.js'
import './suggestion.js'
import { find, findAll } from './dom.js'
import { follow } from './live.js'
import { healWhatWaits } from './healing.js'
import { makeSearchable } from './searchable-select.js'
import { offerPresets } from './time-presets.js'

// The place is named, not found, where an answer chose it itself.
function attend(place) {
  if (find('[data-calendar]')) import('./calendar.js')
  if (place?.id !== 'time-note') offerPresets(place instanceof Element ? place : document)
  if (place?.id === 'found') place.scrollIntoView({ block: 'nearest' }) // below the field somebody types into
  makeSearchable(findAll('select[data-searched]'))
  healWhatWaits()
  follow()
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => attend(ctx.target))
attend()
