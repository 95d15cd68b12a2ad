// All time zones to choose from: half a thousand options, which come once somebody looks for one. The browser keeps
// them for every dialog. Where they cannot be had, the browser's own names do.
import { sendWithRefresh } from './session-refresh.js'

const LONGEST = 5000

async function fetched(address) {
  const answer = await sendWithRefresh(address, { signal: AbortSignal.timeout(LONGEST) })
  if (!answer.ok) throw new Error(answer.status)
  return Object.assign(document.createElement('template'), { innerHTML: await answer.text() }).content.children
}

const own = () => Intl.supportedValuesOf('timeZone').map((name) => new Option(name, name))

export async function addZones(select) {
  const zones = await fetched(select.dataset.zones).catch(own)
  const there = new Set([...select.options].map(({ value }) => value))
  select.append(...[...zones].filter(({ value }) => !there.has(value)))
}
