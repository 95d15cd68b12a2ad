// The installer. Everything is set up on the server already; what is left is to tell the portal so, once, and to move
// on to the app. The portal then loads the app in place of this page by itself.
import './js/fit.js'
import { command } from './js/commands.js'
import { find, findAll } from './js/dom.js'
import { openApp, portal, reopen } from './js/portal.js'

const PATIENCE = 6000 // the portal answers installFinish by loading the app, never by a word

const show = (name) => findAll('[data-finish]').forEach((part) => (part.hidden = part.dataset.finish !== name))
const isReady = () => find('#install').dataset.ready === 'yes'

async function finish() {
  show('working')
  const b24 = await portal()
  if (!b24) return show('silent')
  if (!b24.isInstallMode) return (await openApp()) || show('silent')
  setTimeout(show, PATIENCE, 'stuck')
  return b24.installFinish()
}

command('finish', finish)
command('reopen', reopen)
if (isReady()) finish()
