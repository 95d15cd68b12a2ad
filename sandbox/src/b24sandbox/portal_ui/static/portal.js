// A portal page: the app in its place, the sliders of Sites, the Market's buttons, and the stand-in's bar.
import { openAutomation } from './automation.js'
import { openBell } from './bell.js'
import { commands } from './commands.js'
import { control } from './control.js'
import { news } from './dialogs.js'
import { listen, notice, openFrame } from './frame.js'
import { openRemote } from './remote.js'
import { openSlider } from './slider.js'

listen(commands)
const boot = JSON.parse(document.getElementById('standin').textContent)
const find = (selector, root = document) => root.querySelector(selector)
const asked = { user: boot.user, lang: boot.lang, app: boot.app.place }

function options() {
  try { return boot.options ? JSON.parse(boot.options) : {} } catch { return {} }
}

// --- The app ------------------------------------------------------------------------------------------------------------
function openApp() {
  const place = find('#app-place')
  const wanted = { ...asked, placement: boot.placement, options: options() }
  if (boot.view !== 'slider') return openFrame(place, wanted)
  place.append(notice(boot.app.title, 'The app opens in a slider, as from the Market or another app.'))
  const slider = openSlider({ title: boot.app.title, kind: 'application' })
  return openFrame(slider.body, { ...wanted, options: { IFRAME: 'Y', IFRAME_TYPE: 'SIDE_SLIDER', ...wanted.options } }, { slider })
}

// --- Settings of a page or site, with the app's item as the last of the menu (2.3) ---------------------------------------
async function openSettings(site, lid, part = 'basic') {
  const answer = await fetch(`/sites/settings?${new URLSearchParams({ user: boot.user, lang: boot.lang, site, lid })}`)
  if (!answer.ok) return news(await answer.text())
  const slider = openSlider({ title: Number(lid) ? 'Page settings' : 'Site settings', width: 1180, kind: 'settings' })
  slider.body.append(document.createRange().createContextualFragment(await answer.text()))
  let frame = null
  const show = async (button) => {
    for (const each of slider.body.querySelectorAll('[data-part]')) each.toggleAttribute('aria-current', each === button)
    for (const panel of slider.body.querySelectorAll('[data-panel]')) panel.hidden = panel.dataset.panel !== button.dataset.part
    if (button.dataset.part !== 'app') return
    frame?.destroy()
    const about = { SITE_ID: String(site), LID: String(lid), URI: `/sites/site/${site}/view/${lid}/` }
    frame = await openFrame(find('[data-panel="app"]', slider.body), { ...asked, app: Number(button.dataset.app), placement: button.dataset.placement, options: about, handler: button.dataset.handler }, { slider })
  }
  slider.onclose = () => frame?.destroy()
  slider.body.addEventListener('click', ({ target }) => { const button = target.closest('[data-part]'); if (button) show(button) })
  const first = find(`[data-part="${part}"]`, slider.body)
  if (first) show(first)
}

document.addEventListener('click', ({ target }) => {
  const button = target.closest?.('[data-settings]')
  if (button) openSettings(button.dataset.site, button.dataset.lid)
})

// --- The Market -----------------------------------------------------------------------------------------------------------
const reloadAfter = async (work) => { try { await work; location.reload() } catch (problem) { news(problem.message) } }
find('#market-install')?.addEventListener('click', async () => {
  try { await control.install(boot.portal, boot.app.place); location.assign(find('.menu a').href.replace(/\/section\/feed/, '/')) } catch (problem) { news(problem.message) }
})
find('#market-remove')?.addEventListener('click', () => reloadAfter(control.uninstall(boot.portal, find('#market-clean').checked, boot.app.place)))

// --- The bar, the menu, the clock -----------------------------------------------------------------------------------------
const choices = find('#bar-choices')
choices?.addEventListener('change', ({ target }) => {
  if (target.id !== 'bar-portal') return choices.requestSubmit()
  const query = new URLSearchParams(new FormData(choices))
  query.delete('lang') // each portal has its own
  query.delete('options')
  location.assign(`${target.value}${choices.getAttribute('action')}?${query}`)
})
find('.menu-button')?.addEventListener('click', ({ currentTarget }) => {
  currentTarget.setAttribute('aria-expanded', String(find('#menu').classList.toggle('open')))
})
const clock = find('#clock')
const tick = () => { clock.textContent = new Date().toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }) }
if (clock) { tick(); setInterval(tick, 10_000) }

control.connect(boot.control)
openRemote(boot)
openBell(boot)
if (boot.automation) openAutomation(boot)
if (boot.section === 'app') openApp()
if (boot.section === 'sites' && boot.settings.site) openSettings(boot.settings.site, boot.settings.lid, boot.placement === 'LANDING_SETTINGS' ? 'app' : 'basic')
