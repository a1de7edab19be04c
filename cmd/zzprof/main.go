package main
import ("context";"fmt";"os";"runtime/pprof";"time"
"github.com/carrot-router/carrot/dataset";"github.com/carrot-router/carrot/embed";"github.com/carrot-router/carrot/train";"github.com/carrot-router/carrot/predict")
func main(){ ctx:=context.Background(); f,_:=os.Create("/tmp/exp/cpu.prof"); pprof.StartCPUProfile(f); defer pprof.StopCPUProfile()
var sets []*dataset.Set
for _,d:=range os.Args[2:]{ s,err:=dataset.Load(ctx,d); if err!=nil{panic(err)}; sets=append(sets,s)}
s:=sets[0]; if len(sets)>1 { s,_=dataset.Join(sets,dataset.JoinOptions{}) }
e,_:=embed.Default(); t,err:=train.Prepare(ctx,s,e,nil); if err!=nil{panic(err)}
start:=time.Now(); say:=func(m string){fmt.Printf("%6.1f %s\n",time.Since(start).Seconds(),m)}
spec,err:=predict.ParseSpec(os.Args[1]); if err!=nil{panic(err)}
_,err=t.Fit(ctx,train.Trainable(s),spec,say); say(fmt.Sprint("done ",err)) }
