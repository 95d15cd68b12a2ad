// The installer. The server has set everything up already; what is left is to tell the portal so, once. The portal then
// loads the app in place of this page by itself.
import './js/frame-height.js'
import { command } from './js/commands.js'
import { find, findAll } from './js/dom.js'
import { openApp, portal, reopen } from './js/portal.js'

const TIMEOUT = 6000 // the portal answers installFinish by loading the app, it never replies

const show = (name) => findAll('[data-finish]').forEach((part) => (part.hidden = part.dataset.finish !== name))
const isReady = () => find('#install').dataset.ready === 'yes'

async function finish() {
  show('working')
  const b24 = await portal()
  if (!b24) return show('silent')
  if (!b24.isInstallMode) return (await openApp()) || show('silent')
  setTimeout(show, TIMEOUT, 'stuck')
  return b24.installFinish()
}

command('finish', finish)
command('reopen', reopen)
if (isReady()) finish()
