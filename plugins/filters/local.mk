# plugins of this role; name.so is built from name.c
filtersdir = $(pluginsdir)/filters
filters_PROGRAMS =

filters_PROGRAMS += plugins/filters/verdict.so
plugins_filters_verdict_so_SOURCES = plugins/filters/verdict.c
plugins_filters_verdict_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_verdict_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_verdict_so_LDADD = $(GLIB_LIBS)

filters_PROGRAMS += plugins/filters/both-orders.so
plugins_filters_both_orders_so_SOURCES = plugins/filters/both-orders.c
plugins_filters_both_orders_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_both_orders_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_both_orders_so_LDADD = $(GLIB_LIBS)

filters_PROGRAMS += plugins/filters/balance.so
plugins_filters_balance_so_SOURCES = plugins/filters/balance.c
plugins_filters_balance_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_balance_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_balance_so_LDADD = $(GLIB_LIBS)

filters_PROGRAMS += plugins/filters/dedup.so
plugins_filters_dedup_so_SOURCES = plugins/filters/dedup.c $(MINHASH_SOURCES)
plugins_filters_dedup_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_filters_dedup_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_dedup_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_dedup_so_LDADD = $(GLIB_LIBS) -lm

filters_PROGRAMS += plugins/filters/consistent.so
plugins_filters_consistent_so_SOURCES = plugins/filters/consistent.c $(TEXT_SOURCES)
plugins_filters_consistent_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_filters_consistent_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_consistent_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_consistent_so_LDADD = $(GLIB_LIBS)

filters_PROGRAMS += plugins/filters/quote.so
plugins_filters_quote_so_SOURCES = plugins/filters/quote.c $(TEXT_SOURCES)
plugins_filters_quote_so_CPPFLAGS = $(TEXT_CPPFLAGS)
plugins_filters_quote_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_quote_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_quote_so_LDADD = $(GLIB_LIBS)

filters_PROGRAMS += plugins/filters/cap.so
plugins_filters_cap_so_SOURCES = plugins/filters/cap.c
plugins_filters_cap_so_CFLAGS = $(PLUGIN_CFLAGS)
plugins_filters_cap_so_LDFLAGS = $(SHARED_LINK_FLAGS)
plugins_filters_cap_so_LDADD = $(GLIB_LIBS)
