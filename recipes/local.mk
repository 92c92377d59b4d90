# Recipes name the embedded model as ../models/vj-tiny: installed, the folders lie side by side as here.
recipesdir = $(vjdatadir)/recipes
dist_recipes_DATA = recipes/quickstart.yaml recipes/self-improvement.yaml recipes/nlvr.yaml recipes/vj-tiny.yaml recipes/vj-tiny-measure.yaml \
	recipes/paper.yaml
ablationsdir = $(recipesdir)/ablations
dist_ablations_DATA = recipes/ablations/README.md recipes/ablations/shuffled-presentations.yaml recipes/ablations/shuffled-pairs.yaml \
	recipes/ablations/harmful.yaml recipes/ablations/gold-filter.yaml recipes/ablations/one-order.yaml recipes/ablations/from-base.yaml \
	recipes/ablations/rewrite-only.yaml recipes/ablations/swap-only.yaml recipes/ablations/text-only.yaml \
	recipes/ablations/degraded-only.yaml
dist_ablations_SCRIPTS = recipes/ablations/study.py
nlvrdir = $(recipesdir)/nlvr
dist_nlvr_DATA = recipes/nlvr/loop.yaml
dist_nlvr_SCRIPTS = recipes/nlvr/make-sets.py
