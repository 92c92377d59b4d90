# Recipes name the embedded model as ../models/vj-tiny: installed, the two folders lie side by side as here.
recipesdir = $(vjdatadir)/recipes
dist_recipes_DATA = recipes/quickstart.yaml recipes/nlvr.yaml recipes/vj-tiny.yaml recipes/vj-tiny-measure.yaml recipes/paper.yaml
nlvrdir = $(recipesdir)/nlvr
dist_nlvr_DATA = recipes/nlvr/loop.yaml
dist_nlvr_SCRIPTS = recipes/nlvr/make-sets.py
