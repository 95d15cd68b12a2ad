// What a portal does for each command of a frame, and whether it answers (FACTS, 7.2). The silences are as important
// as the answers: an app that waits for one waits for ever.
import { alertBox, chooseAccess, chooseCrm, chooseUsers, news } from './dialogs.js'
import { openFrame } from './frame.js'
import { openSlider, topSlider } from './slider.js'

const PATHS = /^\/(crm\/(deal|lead|contact|company|type)|marketplace|company\/personal\/user\/\d+|workgroups\/group\/\d+)\//
const COLOURS = { aqua: '#06bab1', green: '#a5de00', orange: '#ffa801', brown: '#b57051', pink: '#f968b6', blue: '#2eceff', grey: '#a1a6ac', violet: '#6b52cc' }
const NO_TOKEN = 'Unable to get new token! Reload page, please!'

const fromServer = (command) => async (frame, params, answer) => {
  const said = await frame.ask(command, params)
  if ('reply' in said) answer(said.reply)
}

export const commands = {
  getInitData: fromServer('getInitData'),
  setUserOption: fromServer('setUserOption'),
  setAppOption: fromServer('setAppOption'), // silent for everybody but administrators
  setInstall: fromServer('setInstall'),

  async refreshAuth(frame, params, answer) {
    const said = await frame.ask('refreshAuth', params)
    'reply' in said ? answer(said.reply) : alertBox(NO_TOKEN)
  },

  // Never answered: the portal keeps the flag and shows the app afresh.
  async setInstallFinish(frame, params) {
    const said = await frame.ask('setInstallFinish', params)
    if (frame.slider) {
      const { place, asked, slider } = frame
      frame.destroy()
      return void openFrame(place, asked, { slider })
    }
    const next = new URL(location.href)
    next.searchParams.set('install_finished', said.reload ? 'Y' : 'N')
    location.assign(next)
  },

  resizeWindow(frame, params, answer) {
    const width = params.width === '100%' ? '100%' : `${parseInt(params.width, 10) || 100}px`
    const height = parseInt(params.height, 10)
    frame.layout.style.width = width
    if (height) {
      frame.layout.style.height = `${height}px`
      frame.layout.style.minHeight = '0'
    }
    const box = frame.layout.getBoundingClientRect()
    answer({ width: box.width, height: box.height })
  },

  setTitle(frame, params, answer) {
    const title = String(params.title ?? '')
    if (frame.slider) frame.slider.title = title
    else {
      document.getElementById('pagetitle').textContent = title
      document.title = title
    }
    answer(params)
  },

  setScroll(frame, params, answer) {
    if (params.scroll >= 0) scrollTo(scrollX, parseInt(params.scroll, 10))
    answer(params)
  },

  reloadWindow() { location.reload() },

  openApplication(frame, params, answer) {
    const { settings, options } = sorted(params)
    const slider = openSlider({ title: settings.title || frame.opening.app?.title || 'App', ...settings, kind: 'application', closed: () => answer(undefined) })
    openFrame(slider.body, { ...frame.asked, placement: 'DEFAULT', options: { ...options, IFRAME: 'Y', IFRAME_TYPE: 'SIDE_SLIDER' } }, { slider })
  },

  closeApplication(frame, params, answer) {
    const slider = topSlider()
    if (slider?.kind === 'application') slider.close(() => answer(undefined))
  },

  openPath(frame, params, answer) {
    const path = typeof params.path === 'string' ? params.path : ''
    if (/ipad|iphone|android|mobile|touch/i.test(navigator.userAgent)) return answer({ result: 'error', errorCode: 'METHOD_NOT_SUPPORTED_ON_DEVICE' })
    if (!PATHS.test(path)) return answer({ result: 'error', errorCode: 'PATH_NOT_AVAILABLE' })
    const slider = openSlider({ title: new URL(path, location.origin).pathname, kind: 'path', closed: () => answer({ result: 'close' }) })
    slider.body.append(document.getElementById('not-here')?.content.cloneNode(true) ?? '')
  },

  // A placement's own commands and events; neither DEFAULT nor LANDING_SETTINGS has any, and the common ones are not listed.
  getInterface(frame, params, answer) { answer({ command: frame.asked.onValues ? ['setPropertyValue'] : [], event: [] }) },
  placementBindEvent() {},

  // Only in the settings of an automation rule: values by name; the person has yet to save them.
  setPropertyValue(frame, params, answer) {
    if (!frame.asked.onValues) return
    frame.asked.onValues(params)
    answer(undefined)
  },

  selectUser(frame, params, answer) { chooseUsers(frame.opening.users ?? [], Boolean(parseInt(Number(params.mult), 10)), answer) },
  selectAccess(frame, params, answer) { chooseAccess(frame.opening.users ?? [], params.value ?? [], answer) },
  selectCRM(frame, params, answer) { chooseCrm(params, answer) },

  imCallTo(frame, params) { news(`Calls user ${params.userId}${params.video ? ' with video' : ''}`) },
  imPhoneTo(frame, params) { news(`Dials ${params.phone}`) },
  imOpenMessenger(frame, params) { news(`Opens the chat ${params.dialogId ?? ''}`) },
  imOpenHistory(frame, params) { news(`Opens the history of ${params.dialogId ?? ''}`) },
}

// `bx24_…` are for the slider and are taken out; with both `options` and `params`, the latter are what the app gets.
function sorted(params) {
  const settings = {}
  let options = {}
  for (const [name, value] of Object.entries(params)) {
    if (name.startsWith('bx24_')) settings[name.slice(5)] = value
    else options[name] = value
  }
  if (options.options && typeof options.options === 'object' && 'params' in options) options = options.params
  const number = (value) => (typeof value === 'number' ? value : undefined)
  const label = settings.label && typeof settings.label === 'object' ? { text: settings.label.text, colour: COLOURS[settings.label.bgColor] } : undefined
  return { options, settings: { title: typeof settings.title === 'string' ? settings.title : '', width: number(settings.width), leftBoundary: number(settings.leftBoundary), label } }
}
