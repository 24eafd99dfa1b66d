"""The table of what is rendered alone: what it is called, who paints it, which colours it may be asked in."""

from collections.abc import Callable

from pellucid.data.rendering import cloth, falling, fire, glass, glow, mixtures, vapour, water
from pellucid.data.rendering.cushions import moulded_shape
from pellucid.data.rendering.kinds import ANY, BRIGHT, DIM, LIGHTS, NONE, THICK, THIN, Effect
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch

Painter = Callable[[Sketch], Floats]


def _split(phrases: str) -> tuple[str, ...]:
    return tuple(phrases.split("|")) if phrases else ()


def _vapour(name: str, paint: Painter, phrases: str, *, plain: str = "", share: float = 1.0) -> Effect:
    return _thing(name, paint, phrases, thin=THIN, thick=THICK, plain=plain, share=share)


def _smoking(name: str, paint: Painter, phrases: str, *, plain: str = "", share: float = 1.0) -> Effect:
    """Makes the row of a thing whose smoke alone has the colour that is named."""
    return _thing(name, paint, phrases, coloured=phrases, thin=THIN, thick=THICK, plain=plain, share=share)


def _light(name: str, paint: Painter, phrases: str, *, plain: str = "", share: float = 1.0) -> Effect:
    return _thing(name, paint, phrases, colours=LIGHTS, thin=DIM, thick=BRIGHT, plain=plain, share=share)


def _flame(name: str, paint: Painter, phrases: str, *, plain: str = "", share: float = 1.0) -> Effect:
    return _thing(name, paint, phrases, colours=LIGHTS, plain=plain, share=share)


def _thing(
    name: str,
    paint: Painter,
    phrases: str,
    *,
    coloured: str = "",
    plain: str = "",
    colours: tuple[str, ...] = ANY,
    thin: tuple[str, ...] = (),
    thick: tuple[str, ...] = (),
    share: float = 1.0,
) -> Effect:
    return Effect(
        name=name,
        phrases=_split(phrases),
        coloured=_split(coloured),
        plain=_split(plain),
        paint=paint,
        colours=colours,
        thin=thin,
        thick=thick,
        share=share,
    )


CUPS = ("cup", "tumbler")

EFFECTS: tuple[Effect, ...] = (
    _vapour(
        "puff",
        vapour.puff,
        "{}smoke|[a ]puff of {}smoke|[a ]cloud of {}smoke|{}fumes|[a ]{}smoke cloud",
        share=3,
    ),
    _vapour(
        "plume",
        vapour.plume,
        "[a ]plume of {}smoke|rising {}smoke|[a ]column of {}smoke|{}smoke|{}smoke rising",
        share=2.5,
    ),
    _vapour(
        "wisp",
        vapour.wisp,
        "[a ]wisp of {}smoke|[a ]thread of {}smoke|wisps of {}smoke|[a ]curl of {}smoke",
        share=1.5,
    ),
    _vapour("smoke ring", vapour.smoke_ring, "[a ]{}smoke ring|[a ]ring of {}smoke", share=0.5),
    _vapour("steam", vapour.steam, "{}steam|rising {}steam|{}steam rising|{}vapour|hot {}steam", share=1.5),
    _vapour(
        "fog",
        vapour.fog,
        "{}fog|{}mist|{}haze|[a ]bank of {}fog|drifting {}mist|{}foggy air",
        plain="foggy|misty",
        share=3,
    ),
    _vapour("cloud", vapour.cloud, "[a ]{}cloud|[a ]fluffy {}cloud|[a ]{}cloud in the sky", share=2),
    _vapour("dust", vapour.dust, "[a ]cloud of {}dust|{}dust|[a ]{}dust cloud|swirling {}dust"),
    _vapour("wind", vapour.wind, "{}wind|[a ]gust of {}wind|[a ]{}breeze", share=0.7),
    _flame("flame", fire.flame, "[a ]{}flame|{}fire|[a ]{}fire|[a ]burning {}flame", share=2.5),
    _flame("blaze", fire.blaze, "{}fire|[a ]{}blaze|{}flames|[a ]burning {}fire|[a ]wall of {}fire", share=2),
    _flame(
        "campfire",
        fire.campfire,
        "[a ]{}campfire|[a ]{}bonfire|[a ]{}fire on logs|[a ]{}camp fire",
        share=1.2,
    ),
    _smoking(
        "smoky campfire",
        mixtures.smoky(fire.campfire, 0.68, -0.2),
        "[a ]campfire with {}smoke|[a ]bonfire with {}smoke|[a ]campfire and {}smoke",
        plain="[a ]smoking campfire|[a ]smoky campfire",
    ),
    _smoking(
        "smoky fire",
        mixtures.smoky(fire.blaze, 0.68, -0.1),
        "fire with {}smoke|{}smoke and fire|flames and {}smoke|fire and {}smoke",
    ),
    _smoking(
        "smoking candle",
        mixtures.smoky(fire.candle, 0.62, -0.05),
        "[a ]candle with {}smoke",
        plain="[a ]smoking candle",
        share=0.4,
    ),
    _flame("candle flame", fire.candle_flame, "[a ]{}candle flame|the {}flame of a candle", share=0.7),
    _thing("candle", fire.candle, "[a ]{}candle|[a ]burning {}candle|[a ]lit {}candle|[a ]glowing {}candle"),
    _flame("embers", fire.embers, "{}embers|glowing {}embers|{}sparks|floating {}sparks"),
    _flame("sparks", fire.sparks, "{}sparks|flying {}sparks|[a ]shower of {}sparks|[a ]burst of {}sparks"),
    _light("glow", glow.glow, "[a ]{}glow|[a ]glowing {}light|[a ]round {}glow|[a ]{}light|{}glow", share=2),
    _flame("halo", glow.halo, "[a ]{}halo|[a ]ring of {}light|[a ]glowing {}ring|[a ]{}aura"),
    _flame(
        "ball of light",
        glow.ball_of_light,
        "[a ]ball of {}light|[a ]glowing {}orb|[a ]{}energy ball|[a ]{}magic orb",
    ),
    _light(
        "beam", glow.beam, "[a ]beam of {}light|[a ]{}light beam|[a ]{}beam|[a ]shaft of {}light", share=1.5
    ),
    _light("spotlight", glow.spotlight, "[a ]{}spotlight|[a ]{}stage light|[a ]cone of {}light"),
    _light("rays", glow.rays, "rays of {}light|{}light rays|{}sunbeams|[a ]burst of {}light"),
    _flame(
        "sparkles",
        glow.sparkles,
        "{}sparkles|{}sparkle|{}glitter|twinkling {}sparkles|{}twinkling stars",
        share=1.5,
    ),
    _flame("lens flare", glow.lens_flare, "[a ]{}lens flare|[a ]{}flare of light", share=0.7),
    _flame("comet", glow.comet, "[a ]{}comet|[a ]{}shooting star|[a ]comet with a {}tail"),
    _flame(
        "lightning", glow.lightning, "{}lightning|[a ]bolt of {}lightning|[a ]{}lightning bolt", share=0.8
    ),
    _light("aurora", glow.aurora, "[a ]{}aurora|{}northern lights|{}aurora borealis", share=0.8),
    _thing("rainbow", glow.rainbow, "[a ]{}rainbow", colours=NONE, share=0.5),
    _flame("fireworks", glow.fireworks, "{}fireworks|[a ]burst of {}fireworks|[a ]{}firework", share=0.8),
    *(
        _flame(
            f"neon {name}",
            glow.neon(name),
            f"[a ]{{}}neon {name}|[a ]glowing {{}}{name}|[a ]{name} of {{}}neon light",
            share=0.35,
        )
        for name in glow.OUTLINES
    ),
    _thing(
        "drop",
        water.drop,
        "[a ]{}water drop|[a ]{}drop|[a ]{}droplet|[a ]drop of {}water|[a ]{}teardrop",
        share=1.5,
    ),
    _thing("drops", water.drops, "drops of {}water|{}water drops|{}droplets|{}dew drops"),
    _thing(
        "splash",
        water.splash,
        "[a ]splash of {}water|[a ]{}water splash|[a ]{}splash|splashing {}water",
        share=1.5,
    ),
    _thing("spray", water.spray, "[a ]spray of {}water|{}spray|[a ]{}water spray|[a ]fine {}spray"),
    _thing("bubble", water.bubble, "[a ]{}soap bubble|[a ]{}bubble|[a ]transparent {}bubble", share=1.5),
    _thing("bubbles", water.bubbles, "{}bubbles|{}soap bubbles|floating {}bubbles", share=1.5),
    _thing("foam", water.foam, "{}foam|{}soap foam|[a ]heap of {}foam|{}suds", share=0.6),
    _thing("wave", water.wave, "{}water|[a ]{}water wave|[a ]wave of {}water|clear {}water|[a ]{}wave"),
    _thing(
        "ice cube",
        water.ice_cube,
        "[an ]{}ice cube|[a ]cube of {}ice|{}ice|[a ]block of {}ice|[a ]{}ice block",
        share=2,
    ),
    _thing("crystals", water.shards, "{}crystals|{}ice crystals|{}ice shards|shards of {}ice"),
    _thing("crystal", water.shard, "[a ]{}crystal|[a ]shard of {}ice|[an ]{}ice shard", share=0.7),
    _thing("icicles", water.icicles, "{}icicles|hanging {}icicles", share=0.6),
    _thing("snowflake", water.snowflake, "[a ]{}snowflake|[a ]snowflake of {}ice|[an ]{}ice crystal"),
    _thing(
        "glass ball",
        glass.ball,
        "[a ]{}glass ball|[a ]ball of {}glass|[a ]{}glass orb|[a ]{}glass sphere|[a ]{}glass marble",
        share=1.7,
    ),
    _thing(
        "crystal ball",
        glass.crystal_ball,
        "[a ]{}crystal ball|[a ]{}crystal ball on a stand|[a ]magic {}crystal ball",
    ),
    _thing("light bulb", glass.bulb, "[a ]{}light bulb|[a ]{}lightbulb|[a ]{}bulb", share=1.2),
    _thing(
        "magnifying glass",
        glass.lens,
        "[a ]magnifying glass|[a ]magnifier|[a ]magnifying lens",
        coloured="[a ]magnifying glass with a {}handle|[a ]{}magnifying glass",
    ),
    _thing(
        "window",
        glass.pane,
        "[a ]window|[a ]glass window|[a ]window pane|[a ]pane of glass",
        coloured="[a ]window of {}glass|[a ]window with {}glass|[a ]{}glass window",
    ),
    _thing(
        "glass",
        glass.vessel(CUPS),
        "[a ]{}glass|[an ]empty {}glass|[a ]clear {}glass|[a ]{}drinking glass|[a ]{}glass cup",
        share=1.7,
    ),
    *(
        _thing(
            f"glass of {name}",
            glass.vessel(CUPS, name),
            f"[a ]glass of {name}|{name} in a glass|[a ]glass with {name}",
            colours=NONE,
            share=0.6,
        )
        for name in ("water", "milk", "orange juice", "cola", "beer")
    ),
    _thing(
        "iced water",
        mixtures.iced,
        "[a ]glass of ice water|[a ]glass with ice cubes|[a ]glass of water with ice",
        coloured="[a ]{}glass of ice water|[a ]{}glass with ice cubes|[a ]{}glass of water with ice",
        share=0.7,
    ),
    _thing(
        "bottle",
        glass.vessel(("bottle",)),
        "[a ]{}glass bottle|[an ]empty {}bottle|[a ]{}bottle|[a ]bottle of {}glass",
        share=1.2,
    ),
    _thing(
        "bottle of water",
        glass.vessel(("bottle",), "water"),
        "[a ]bottle of water|[a ]glass bottle with water|[a ]water bottle",
        colours=NONE,
    ),
    _thing("vase", glass.vessel(("vase", "slim vase")), "[a ]{}glass vase|[a ]{}vase|[a ]vase of {}glass"),
    _thing("jar", glass.vessel(("jar",)), "[a ]{}glass jar|[an ]empty {}jar|[a ]{}jar", share=0.7),
    _thing("bowl", glass.vessel(("bowl",)), "[a ]{}glass bowl|[a ]bowl of {}glass", share=0.6),
    _thing(
        "test tube",
        glass.vessel(("test tube",), "green potion"),
        "[a ]test tube|[a ]test tube with a green liquid",
        colours=NONE,
        share=0.4,
    ),
    _thing(
        "flask", glass.vessel(("flask", "round flask")), "[an ]empty {}flask|[a ]{}glass flask", share=0.6
    ),
    _thing(
        "green potion",
        glass.vessel(("flask", "round flask"), "green potion"),
        "[a ]green potion|[a ]flask with a green potion|[a ]potion",
        colours=NONE,
        share=0.6,
    ),
    _thing(
        "purple potion",
        glass.vessel(("flask", "round flask"), "purple potion"),
        "[a ]purple potion|[a ]flask with a purple potion|[a ]magic potion",
        colours=NONE,
        share=0.6,
    ),
    _thing("wine glass", glass.vessel(("wine glass",)), "[a ]{}wine glass|[an ]empty {}wine glass"),
    _thing(
        "glass of wine",
        glass.vessel(("wine glass",), "red wine"),
        "[a ]glass of red wine|[a ]wine glass with red wine|[a ]glass of wine",
        colours=NONE,
    ),
    _thing(
        "goblet",
        glass.vessel(("goblet", "martini glass", "champagne flute")),
        "[a ]{}glass goblet|[a ]{}stemmed glass",
        share=0.6,
    ),
    *(
        _thing(
            f"glass {name}",
            moulded_shape(name),
            f"[a ]{{}}glass {name}|[a ]{name} of {{}}glass|[a ]transparent {{}}{name}",
            share=0.4,
        )
        for name in ("heart", "star", "triangle", "square", "diamond")
    ),
    _thing(
        "veil",
        cloth.veil,
        "[a ]{}veil|[a ]sheer {}curtain|[a ]transparent {}cloth|{}tulle|[a ]thin {}veil",
        share=1.2,
    ),
    _thing(
        "silk", cloth.silk, "{}silk|[a ]strip of {}silk|floating {}silk|[a ]{}silk scarf|[a ]sheer {}scarf"
    ),
    _thing("ghost", cloth.ghost, "[a ]{}ghost|[a ]transparent {}ghost|[a ]{}spirit|[a ]{}phantom", share=1.2),
    _thing("jellyfish", cloth.jellyfish, "[a ]{}jellyfish|[a ]transparent {}jellyfish", share=1.2),
    _vapour("rain", falling.rain, "{}rain|falling {}rain|{}raindrops", share=0.8),
    _vapour("snow", falling.snow, "{}snow|falling {}snow|{}snowflakes falling", share=0.8),
    _thing("confetti", falling.confetti, "{}confetti|falling {}confetti|bits of {}confetti", share=0.5),
    _flame("fireflies", falling.fireflies, "{}fireflies|floating {}lights|glowing {}fireflies", share=0.6),
    _thing(
        "eyeglasses",
        falling.spectacles,
        "[a pair of ]eyeglasses|[a pair of ]glasses|spectacles|clear eyeglasses",
        coloured="[a pair of ]{}eyeglasses|{}glasses|eyeglasses with a {}frame",
    ),
    _thing(
        "shadow", cloth.shadow, "[a ]soft {}shadow|[a ]{}shadow", colours=("black", "grey", "blue"), share=0.5
    ),
)
