// What changes by itself is followed while somebody looks. A run that may move is asked what moved, every two seconds
// while it does and seldom otherwise; rows of a list, and the Scheduled tab, likewise. An answer that says nothing new
// is a 304. Each failure doubles the pause; while the page is hidden everything rests, and once the session has ended
// and could not be renewed it stays so until the person does something that succeeds.
import htmx from 'htmx.org'
import { find, findAll } from './dom.js'
import { sendWithRefresh } from './session-refresh.js'
import { isPending } from './stale-answers.js'
import { showAgain } from './steps.js'

const LONGEST_PAUSE = 60
const LISTS_PAUSE = 15
const MOVING_PAUSE = 2
const PULSE = '/runs/pulse'
// In the middle of something: a view that lists what is to come is shown anew after it.
const BUSY = 'dialog[open], .dragging, #view[aria-busy], #view :is(input, select):focus, #entries input:checked'
const marks = new Map() // path → the mark of its newest answer
let toCome = null // the version of all that is still to come
let ended = false // the session

// The answer's body, null when nothing changed, undefined when there was no answer.
async function ask(address) {
  const path = address.split('?')[0]
  const headers = { Accept: 'application/json' }
  if (marks.get(path)?.mark && marks.get(path).address === address) headers['If-None-Match'] = marks.get(path).mark
  const answer = await sendWithRefresh(address, { headers })
  if (answer.status === 304) return null
  if (answer.status === 401) ended = true
  if (!answer.ok) return undefined
  marks.set(path, { address, mark: answer.headers.get('ETag') })
  return answer.json()
}

// Asks again and again: `next` tells after how many seconds, null for never.
function repeatedly(look, next) {
  let timer = null
  let failures = 0
  const plan = (atOnce = false) => {
    clearTimeout(timer)
    const seconds = !ended && (atOnce ? 0.01 : next())
    if (seconds) timer = setTimeout(run, Math.min(LONGEST_PAUSE, seconds * 2 ** failures) * 1000)
  }
  const run = async () => {
    if (document.hidden) return document.addEventListener('visibilitychange', run, { once: true })
    failures = (await look()) === undefined ? failures + 1 : 0
    plan()
  }
  return plan
}

const run = () => find('#run[data-live]')

function rowsIn([first, last]) {
  return findAll('#items > li').filter(({ dataset: { n } }) => Number(n) >= first && Number(n) <= last)
}

function move(row, state, detail, code) {
  const sample = find(`[data-state=${state}]`, find('#row-states').content)
  for (const part of ['.state', '.end']) find(part, row).replaceWith(find(part, sample).cloneNode(true))
  row.dataset.state = state
  const failed = state === 'failed'
  const words = find('.sub', row)
  if (failed) words.before(Object.assign(document.createElement('p'), { className: 'why', textContent: detail ?? '' }))
  const more = failed ? code : detail
  if (more) words.append(` · ${more}`)
}

function showProgress(view, { total, done, badge, tally, say, rows, poll }) {
  const bar = find('#run-progress')
  if (bar) Object.assign(bar, { max: total }, done ? { value: done } : {})
  find('#run-badge').innerHTML = badge
  find('#run-tally').innerHTML = tally
  view.dataset.poll = poll ?? ''
  if (say.trim() && view.dataset.announce !== say) find('#live').textContent = say
  view.dataset.announce = say
  for (const [state, spans, detail, code] of rows) {
    const changed = spans.flatMap(rowsIn).filter((row) => row.dataset.state !== state)
    changed.forEach((row) => move(row, state, detail, code))
  }
}

async function lookAtRun() {
  const view = run()
  const news = view && (await ask(view.dataset.live))
  if (!view?.isConnected || news === null) return null
  if (!news || news.again) htmx.trigger(view, 'poll') // as a whole; where it failed, the banner says why
  else showProgress(view, news)
  return news
}

const moving = () => findAll('#view [data-moves]')

function replace(element, html) {
  const template = Object.assign(document.createElement('template'), { innerHTML: html })
  const fresh = template.content.firstElementChild
  const focused = element.contains(document.activeElement) && document.activeElement.id
  element.replaceWith(fresh)
  htmx.process(fresh)
  if (focused) (document.getElementById(focused) ?? find('a', fresh) ?? find('#tabs [aria-current]'))?.focus()
}

const line = () => find('#under-way')

// On its own page a run needs no line.
function hideLine() {
  const { of } = line().dataset
  line().hidden = !of || of === find('#run')?.dataset.of
}

const ownRuns = () => line().dataset.own?.split(' ') ?? []

// Once a run of the person's own has ended out of their sight, its end is news.
function showUnderWay(html) {
  const before = ownRuns()
  replace(line(), html)
  hideLine()
  const isOver = before.some((id) => !ownRuns().includes(id) && id !== find('#run')?.dataset.of)
  if (isOver && !find('#news details[open]')) htmx.trigger('#news', 'repeat')
}

// A view that lists what is to come is shown anew, once nobody is in the middle of something there. What was asked for
// before it was shown may be older than it.
function refreshList(version, view) {
  const isNew = toCome !== null && version !== toCome && find('#view > [data-tab=scheduled]:not(#run)')
  const isBusy = isNew && (isNew !== view || isPending() || find(BUSY))
  if (isBusy) return marks.delete(PULSE) // told again at the next look
  toCome = version
  if (isNew) showAgain()
}

async function lookAtLists() {
  const view = find('#view > [data-tab]')
  const rows = moving().slice(0, 100)
  const query = new URLSearchParams({ rows: rows.map(({ id, dataset }) => `${id.slice(4)}.${dataset.moves}`) })
  if (rows[0]?.closest('[data-alone]')) query.set('alone', '1')
  const news = await ask(`${PULSE}?${query}`)
  if (!news) return news
  find('#scheduled-count').textContent = news.count
  find('#scheduled-state').textContent = news.state
  find('#tabs').dataset.moving = news.moving
  for (const [id, html] of Object.entries(news.rows)) {
    const row = document.getElementById(`run-${id}`)
    if (row) replace(row, html)
  }
  showUnderWay(news.under_way)
  refreshList(news.version, view)
  return news
}

const planRun = repeatedly(lookAtRun, () => Number(run()?.dataset.poll) || null)
const isSeen = () => moving().length > 0 || find('#under-way[data-soon]:not([hidden])')
const isQuick = () => isSeen() && Number(find('#tabs').dataset.moving ?? 1) > 0
const planLists = repeatedly(lookAtLists, () => (isQuick() ? MOVING_PAUSE : LISTS_PAUSE))
let watched = false // a run that moves or did, on its own page

export function follow() {
  ended = false
  const page = find('#run')
  const hasLeft = watched && !page
  watched = page && (Number(page.dataset.poll) === MOVING_PAUSE || page.dataset.of === line().dataset.of)
  hideLine()
  toCome = find('[data-to-come]')?.dataset.toCome ?? toCome // a list that shows it already is not shown anew for it
  planRun()
  planLists(hasLeft)
}
