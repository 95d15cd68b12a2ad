// Downloads such as CSV: requested with the session like everything else, then handed to the browser to save.
import { command } from './commands.js'
import { find } from './dom.js'
import { ask } from './notices.js'

function fileName(answer) {
  const disposition = answer.headers.get('Content-Disposition') ?? ''
  const whole = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1]
  return whole ? decodeURIComponent(whole) : /filename="?([^";]+)/.exec(disposition)?.[1] ?? 'sundown.csv'
}

function save(file, name) {
  const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

command('download', async (button) => {
  const filters = button.dataset.with ? `?${new URLSearchParams(new FormData(find(button.dataset.with)))}` : ''
  const answer = await ask(button.dataset.from + filters, 'text/csv', button)
  if (answer) save(await answer.blob(), fileName(answer))
})
