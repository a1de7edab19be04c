package exampledata

import (
	"fmt"
	"math/rand/v2"
)

// pick returns one of the texts.
func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

// between returns a number from low to high.
func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }

var (
	names     = []string{"Ada", "Bruno", "Chidi", "Dilara", "Emre", "Farah", "Goran", "Hana", "Ines", "Jonas"}
	goods     = []string{"apples", "notebooks", "candles", "bulbs", "tiles", "postcards", "buttons", "seedlings"}
	languages = []string{"Go", "Python", "Rust", "Java", "C", "TypeScript"}
	tongues   = []string{"French", "German", "Spanish", "Italian", "Polish", "Turkish", "Swahili"}
	countries = []string{"Chile", "Kenya", "Norway", "Vietnam", "Portugal", "Peru", "Jordan", "Nepal", "Ghana", "Latvia", "Uruguay",
		"Mongolia", "Croatia", "Morocco", "Iceland", "Bolivia", "Estonia", "Laos", "Tunisia", "Ireland"}
	towns    = []string{"Altmoor", "Brenwick", "Corvale", "Dunsea", "Elmharbour", "Farlow"} // invented
	weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
	months   = []string{"January", "March", "April", "June", "August", "October", "November"}
)

var subjects = []subject{
	{"arithmetic", [...]float64{2.2, 3.2, 4.6, 1.4, 4.2, 5.6}, 40, false,
		[3]func(*rand.Rand) string{easyArithmetic, mediumArithmetic, hardArithmetic}},
	{"units", [...]float64{2.4, 3.4, 4.6, 2, 4.4, 5.6}, 45, false,
		[3]func(*rand.Rand) string{easyUnits, mediumUnits, hardUnits}},
	{"calendar", [...]float64{0.6, 2, 3, 1.4, 3.6, 5.2}, 60, false,
		[3]func(*rand.Rand) string{easyCalendar, mediumCalendar, hardCalendar}},
	{"code", [...]float64{0.8, 2.2, 5.6, 0.4, 3.8, 5.2}, 150, false,
		[3]func(*rand.Rand) string{easyCode, mediumCode, hardCode}},
	{"facts", [...]float64{1.6, 2.8, 1.4, 4.8, 4.2, 5}, 30, false,
		[3]func(*rand.Rand) string{easyFacts, mediumFacts, hardFacts}},
	{"translation", [...]float64{1, 2.8, 0.4, 5.4, 4, 5}, 35, true,
		[3]func(*rand.Rand) string{easyTranslation, mediumTranslation, hardTranslation}},
	{"reading", [...]float64{1.6, 3, 2, 5.4, 4.4, 5.2}, 60, true,
		[3]func(*rand.Rand) string{easyReading, mediumReading, hardReading}},
}

func easyArithmetic(r *rand.Rand) string {
	switch a, b := between(r, 11, 99), between(r, 2, 49); r.IntN(3) {
	case 0:
		return fmt.Sprintf("What is %d + %d?", a, b)
	case 1:
		return fmt.Sprintf("What is %d times %d?", a, b)
	default:
		return fmt.Sprintf("Subtract %d from %d.", b, a+b)
	}
}

func mediumArithmetic(r *rand.Rand) string {
	return fmt.Sprintf("%s buys %d boxes of %d %s at %d cents each and pays with a %d euro note. How much change is there?",
		pick(r, names...), between(r, 2, 9), between(r, 3, 24), pick(r, goods...), between(r, 5, 60), 50*between(r, 1, 4))
}

func hardArithmetic(r *rand.Rand) string {
	switch r.IntN(3) {
	case 0:
		return fmt.Sprintf("What is the remainder of %d^%d divided by %d, and how many digits does the power have? Prove both.",
			between(r, 3, 19), between(r, 40, 400), between(r, 7, 97))
	case 1:
		return fmt.Sprintf("In how many ways can %d different %s be put into %d equal bags so that no bag is empty and at least one holds exactly %d? Derive the number.",
			between(r, 8, 14), pick(r, goods...), between(r, 3, 5), between(r, 2, 4))
	default:
		return fmt.Sprintf("A tank is filled by pipe A in %d hours and by pipe B in %d hours, while a leak that grows by %d%% every hour empties it in %d. Set up the equation and find when it is full.",
			between(r, 3, 12), between(r, 3, 12), between(r, 2, 15), between(r, 15, 60))
	}
}

func easyUnits(r *rand.Rand) string {
	pair := [][2]string{{"kilometres", "miles"}, {"kilograms", "pounds"}, {"litres", "US gallons"}, {"degrees Celsius", "degrees Fahrenheit"},
		{"hours", "seconds"}, {"inches", "centimetres"}}[r.IntN(6)]
	return fmt.Sprintf("Convert %d %s to %s.", between(r, 2, 180), pair[0], pair[1])
}

func mediumUnits(r *rand.Rand) string {
	return fmt.Sprintf("A %s covers %d kilometres in %d minutes. Give its mean speed in metres per second and in knots, to one decimal.",
		pick(r, "train", "cyclist", "ferry", "truck", "runner"), between(r, 4, 300), between(r, 12, 240))
}

func hardUnits(r *rand.Rand) string {
	return fmt.Sprintf("A pump lifts %d US gallons of brine of density %d.%02d g/cm³ a minute by %d feet at an efficiency of %d%%. What power does it draw in kilowatts, and how many British thermal units does it waste in a day?",
		between(r, 5, 90), 1, between(r, 2, 20), between(r, 10, 300), between(r, 40, 85))
}

func easyCalendar(r *rand.Rand) string {
	return fmt.Sprintf("Which day of the week comes %d days after a %s?", between(r, 2, 60), pick(r, weekdays...))
}

func mediumCalendar(r *rand.Rand) string {
	return fmt.Sprintf("How many days are there from %d %s to %d December %d, both included?",
		between(r, 1, 28), pick(r, months...), between(r, 1, 31), between(r, 1900, 2100))
}

func hardCalendar(r *rand.Rand) string {
	return fmt.Sprintf("%s in %s and %s in %s meet every %s %s of the month at %d:30 Lisbon time, but skip public holidays and weeks in which only one of them has changed the clocks. List the meetings of %d in both local times.",
		pick(r, names...), pick(r, "Toronto", "Lima", "Denver"), pick(r, names...), pick(r, "Athens", "Cairo", "Helsinki"),
		pick(r, "second", "third", "last"), pick(r, weekdays[:5]...), between(r, 13, 18), between(r, 2019, 2035))
}

func easyCode(r *rand.Rand) string {
	return fmt.Sprintf("Write a %s function that returns %s.", pick(r, languages...), pick(r, "the largest number of a list",
		"the sum of the even numbers of a list", "a string reversed", "whether a word is a palindrome", "the number of vowels in a text",
		"the mean of a list", "a list without its duplicates", "the first word of a sentence"))
}

func mediumCode(r *rand.Rand) string {
	return fmt.Sprintf("Implement %s in %s, handle bad input, and add unit tests.", pick(r, "binary search over a sorted slice",
		"a parser of CSV lines with quoted fields", "a cache that drops the least recently used key", "a topological sort that reports cycles",
		"Roman numerals in both directions", "run-length encoding", "a priority queue with updates", "merging overlapping intervals"), pick(r, languages...))
}

func hardCode(r *rand.Rand) string {
	return fmt.Sprintf("Design and implement in %s %s. Explain the invariants, the memory model and the worst case, without any library.", pick(r, languages...),
		pick(r, "a lock-free queue for many producers", "a B-tree on disk that survives a crash", "a regular expression engine that never backtracks",
			"a garbage collector for a small virtual machine", "a consensus protocol that tolerates lost messages", "a type checker with generics and inference",
			"a text editor's rope with undo shared by several users", "a query planner for joins over partitions"))
}

func easyFacts(r *rand.Rand) string {
	return fmt.Sprintf(pick(r, "What is the capital of %s?", "On which continent is %s?", "Which currency is used in %s?"), pick(r, countries...))
}

func mediumFacts(r *rand.Rand) string {
	return fmt.Sprintf(pick(r, "Name the longest river and the highest mountain of %s, and the countries that share them.",
		"Which languages are official in %s, and since when?", "In which year did %s become independent, and from whom?"), pick(r, countries...))
}

func hardFacts(r *rand.Rand) string {
	return fmt.Sprintf("Who headed the government of %s in %s %d, which parties supported it, and which of its laws was the first to be repealed?",
		pick(r, countries...), pick(r, months...), between(r, 1925, 1998))
}

func easyTranslation(r *rand.Rand) string {
	return fmt.Sprintf("Translate into %s: Good %s, where is the %s?", pick(r, tongues...), pick(r, "morning", "evening"),
		pick(r, "station", "library", "market", "harbour", "post office", "hospital"))
}

func mediumTranslation(r *rand.Rand) string {
	return fmt.Sprintf("Translate this note into formal %s: Dear %s, the delivery of %d %s is late because of the strike. We would be grateful if you could confirm %s by telephone.",
		pick(r, tongues...), pick(r, names...), between(r, 20, 900), pick(r, goods...), pick(r, weekdays...))
}

func hardTranslation(r *rand.Rand) string {
	return fmt.Sprintf("Translate this couplet into %s and keep its metre, its rhyme and the pun: The %s who sold the %s short was never short of praise, / for every %s he owed was owed to better days.",
		pick(r, tongues...), pick(r, "baker", "sailor", "tailor", "miller", "banker"), pick(r, goods...), pick(r, "penny", "favour", "night", "verse"))
}

func easyReading(r *rand.Rand) string {
	return fmt.Sprintf("%s opened a %s in %s in %d. In which town is it?", pick(r, names...), pick(r, "bakery", "bookshop", "forge", "school"),
		pick(r, towns...), between(r, 1890, 2020))
}

func mediumReading(r *rand.Rand) string {
	who := pick(r, names...)
	return fmt.Sprintf("%s moved from %s to %s in %d, after the mill had closed. The new house stood beside the railway, which %[1]s did not mind, having grown up above a station. Why did %[1]s leave, and what made the noise bearable? Answer in one sentence.",
		who, pick(r, towns[:3]...), pick(r, towns[3:]...), between(r, 1890, 2020))
}

func hardReading(r *rand.Rand) string {
	return fmt.Sprintf("The council of %s writes that the dam of %d failed because of the flood. %s, who built it, blames the %s that the council had ordered; the insurer holds that both are right, and that neither matters. The report of %d quotes the council in full and the builder not at all. What does the report imply, which of the three accounts can be true together, and what would one have to know to decide between them?",
		pick(r, towns...), between(r, 1890, 1960), pick(r, names...), pick(r, "cheaper stone", "second gate", "early filling", "missing spillway"), between(r, 1961, 1990))
}
