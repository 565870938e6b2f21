"""Words of which names are made for homes that ask for none: short, friendly, and hard to mishear."""

from __future__ import annotations

ADJECTIVES = tuple(
    """
    able agile airy alert amber ample ancient apt arctic ashen autumn azure balmy beige big blithe blond blue
    bold bonny bouncy brave breezy brief bright brisk broad bronze brown bubbly busy calm candid careful casual
    cheery chief civil clean clear clever close cloudy coastal cobalt cool copper coral cosmic cosy crafty cream
    crimson crisp curious curly cyan dainty dapper daring dawn dear deep deft dewy distant dotted dreamy dusky
    dusty eager early earnest earthy east easy ebony elastic elder elegant emerald epic equal even evening exact
    fabled fair famous fancy fast feathery fern festive fine firm first fleet floral fluffy fond forest frank
    free fresh friendly frosty full funny gallant gentle giant gifted gilded glad gleaming global glossy golden
    good grand grassy grateful great green handy happy hardy harvest hazel hearty helpful hidden high hilly
    holiday honest humble icy ideal indigo island ivory jade jolly jovial joyful jumbo just keen kind large
    lasting late lavender leafy level light lilac linen lively local lofty long loyal lucid lucky lunar magenta
    magic major maple marble marine maroon meadow mellow merry mighty mild minty misty modern modest mossy
    musical narrow native navy neat new nimble noble north novel oaken oceanic olive open orange orderly oval
    pale patient peaceful pearly perfect pine pink placid plain playful pleasant plucky plum polar polite
    prairie prime proud pure purple quaint quick quiet radiant rainy rapid rare ready
    """.split()  # noqa: SIM905 - a column of 250 strings would be a page of quotation marks
)
NOUNS = tuple(
    """
    acorn alder almond anchor antler apple apricot arbor arch aspen aster attic badger bakery balcony bamboo
    banjo barley barn basil basket bay beacon beaver beech bell berry birch bison blossom boat bramble branch
    bridge brook bud bugle cabin cactus camel candle canoe canyon canvas cape carrot castle cedar cello chalet
    cherry chestnut cliff clover coast comet compass cottage cove crane creek cricket crocus crystal cypress
    daisy dale dam deer delta desert dolphin donkey dove dune eagle echo elk elm ember falcon farm feather fern
    ferry fiddle field finch fir fjord flint flower flute foal forge fountain fox frog garden gate gazelle
    geyser ginger glacier glade glen goose grape grove gull hamlet hammock harbor hare harp hawk hazel heath
    hedge heron hill honey hood horizon horn house ibex inlet iris island ivy jasmine jay jetty juniper kayak
    kettle kingdom kite koala lagoon lake lantern larch lark laurel lawn ledge lemon lily linden lion llama
    lodge lotus lynx magnolia mango manor maple marsh meadow melon mill mint moat moon moor moose moss mountain
    myrtle nest nettle nutmeg oak oasis oat ocean olive orchard orchid osprey otter owl paddock palm panda
    parsley pasture path peach pear pebble pelican penguin pepper petal pier pine plain planet plaza plum pond
    pony poplar poppy port prairie puffin quail quarry quince rabbit raft rain raven reed reef ridge river robin
    rose
    """.split()  # noqa: SIM905 - as above
)
