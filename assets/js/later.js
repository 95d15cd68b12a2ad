// What nobody needs in the first moment: a bundle of its own, fetched after the first paint.
import './download.js'
import './keyboard.js'
import './preferences.js'
import { follow } from './live.js'
import { healWhatWaits } from './healing.js'
import { offerPresets } from './time-presets.js'

function attend(place) {
  if (place?.id !== 'time-note') offerPresets(place ?? document)
  healWhatWaits()
  follow()
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => attend(ctx.target))
attend()
