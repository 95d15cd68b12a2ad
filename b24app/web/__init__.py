"""How people, Bitrix24 and the operator reach the app: routes, forms, answers, words."""
