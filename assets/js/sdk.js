export { initializeB24Frame } from '@bitrix24/b24jssdk'
