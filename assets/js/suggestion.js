// A time that does not exist, or has passed: the banner offers another, which goes into the field it was refused for.
import { command } from './commands.js'
import { findAll } from './dom.js'

// The refusal does not name the field: it is the one whose time is nearest to the suggested one.
function refusedField(suggestion) {
  const distance = (field) => Math.abs(new Date(field.value) - new Date(suggestion))
  const filled = findAll('[name=at], [name=until]').filter((field) => field.value)
  return filled.sort((a, b) => distance(a) - distance(b))[0]
}

command('use-suggestion', (button) => {
  const field = refusedField(button.dataset.value)
  if (field) field.value = button.dataset.value
  button.closest('.banner').remove()
  field?.focus()
})
