# For minions with `autoload_dynamic_modules: False`: bring modules, states and library first.
ipalias-sync-all:
  saltutil.sync_all:
    - refresh: true
    - order: 1
