// Something that waits for the person's own session goes on when they have a fresh one: the portal is asked for it
// once, without a word, and the view is shown again. What the view says meanwhile is the way by hand.
import { find } from './dom.js'
import { refreshSession } from './session-refresh.js'
import { isPending } from './stale-answers.js'
import { showAgain } from './steps.js'

const tried = new Set()

export async function healWhatWaits() {
  const waiting = find('#view [data-heal]')?.dataset.heal
  if (!waiting || tried.has(waiting)) return
  tried.add(waiting)
  if (!(await refreshSession())) return
  if (isPending()) tried.delete(waiting) // what is on its way is looked at when it has come
  else showAgain()
}
